/** Go's own wasm_exec.js, wrapped by internal/tools/page so that `scope` is its global object and the page's stays
 *  untouched. */
export function goFor(scope: object): {
  importObject: WebAssembly.Imports;
  run(instance: WebAssembly.Instance): Promise<void>;
  /** The timers that are to wake the program. */
  _scheduledTimeouts: Map<number, ReturnType<typeof setTimeout>>;
};
