/* The Web tap as an ES module: a file that is loaded as a plain script cannot have an `export`. */
import "./zim-tap.js";

export const { ZimTap } = globalThis;
export const { install } = ZimTap;
export default ZimTap;
