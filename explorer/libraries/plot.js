// What the page draws its map with, as one module.
export { default } from "regl-scatterplot";
