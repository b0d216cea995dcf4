/** The JavaScript half of Go's package gpu, from gpu/backend.js. */
export const backend: object;
