import { backend } from './backend.js';
import { asError, LlamaError } from './errors.js';
import { goFor } from './wasm_exec.js';
/** Unwraps a result of Go. */
export function unwrap(r) {
    if (typeof r === 'object' && r !== null && 'failure' in r)
        throw asError(r.failure);
    return r;
}
let compiled;
let fallback;
/** Says how to read the WebAssembly where fetch cannot: in Node. */
export function setWasmReader(read) {
    fallback = read;
}
async function compile(source) {
    if (source instanceof WebAssembly.Module)
        return source;
    if (!(typeof source === 'string' || source instanceof URL))
        return WebAssembly.compile(source);
    const response = await fetch(source).catch((e) => {
        throw new LlamaError('network', `${String(source)}: ${e.message}`, { cause: e });
    });
    if (!response.ok)
        throw new LlamaError('not-found', `${String(source)}: the server says ${response.status}`);
    if (response.headers.get('Content-Type')?.startsWith('application/wasm'))
        return WebAssembly.compileStreaming(response);
    return WebAssembly.compile(await response.arrayBuffer());
}
function moduleOf(source) {
    if (source !== undefined)
        return compile(source);
    compiled ??= (async () => compile(fallback ? await fallback() : new URL('./llama-webgpu.wasm', import.meta.url)))();
    compiled.catch(() => { compiled = undefined; }); // the next one tries again
    return compiled;
}
/** One instance of the WebAssembly, on one GPUDevice. */
export class Runtime {
    api;
    info;
    instance;
    exited;
    constructor(api, info, instance, exited) {
        this.api = api;
        this.info = info;
        this.instance = instance;
        this.exited = exited;
    }
    static async start(device, source) {
        let ready;
        const api = new Promise((resolve) => { ready = resolve; });
        const scope = {
            Object, Array, Uint8Array, Int32Array, Float32Array, Promise, Date, Error, Function,
            TextEncoder, TextDecoder, crypto: globalThis.crypto, performance: globalThis.performance,
            console: globalThis.console, navigator: globalThis.navigator, llamaWebGPUBackend: backend, ready,
        };
        const go = goFor(scope);
        const instance = await WebAssembly.instantiate(await moduleOf(source), go.importObject);
        const exited = go.run(instance).then(() => {
            throw new LlamaError('runtime', 'The WebAssembly has ended; the console says why.');
        });
        exited.catch(() => { }); // whoever waits is told
        const a = await Promise.race([api, exited]);
        return new Runtime(a, unwrap(a.open(device)), instance, exited);
    }
    /** Waits for Go; what it fails with becomes a LlamaError. */
    async wait(promise) {
        try {
            return await Promise.race([promise, this.exited]);
        }
        catch (e) {
            throw asError(e);
        }
    }
    /** The bytes of WebAssembly memory; it never shrinks. */
    get wasmBytes() {
        return this.instance.exports['mem'].buffer.byteLength;
    }
}
const runtimes = new WeakMap();
/** The runtime of a device; it is started once. */
export function runtimeOf(device, source) {
    let r = runtimes.get(device);
    if (!r) {
        r = Runtime.start(device, source);
        runtimes.set(device, r);
        r.catch(() => runtimes.delete(device));
    }
    return r;
}
/** Ends the runtime of a device that is about to be destroyed. */
export async function endRuntime(device) {
    const r = runtimes.get(device);
    runtimes.delete(device);
    await (await r?.catch(() => undefined))?.api.close();
}
