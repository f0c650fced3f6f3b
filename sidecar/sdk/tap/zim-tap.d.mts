export * from "./zim-tap.js";
export { default } from "./zim-tap.js";
