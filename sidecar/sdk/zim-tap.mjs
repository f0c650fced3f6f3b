/* The Web tap by name, for ES modules: a file that a plain script can load cannot have an `export`. */
import "./zim-tap.js";

export const { ZimTap } = globalThis;
export const { install } = ZimTap;
export default ZimTap;
