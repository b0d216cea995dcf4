/** Go's own wasm_exec.js, wrapped by scripts/build.mjs so that it sees `scope` as its global object and
 *  leaves the page's alone. */
export function goFor(scope: object): {
  importObject: WebAssembly.Imports;
  run(instance: WebAssembly.Instance): Promise<void>;
};
