// What the page takes of D3, as one module.
export { quadtree } from "d3-quadtree";
export { scaleLinear } from "d3-scale";
export { select } from "d3-selection";
export { zoom, zoomIdentity } from "d3-zoom";
