// Starts the Worker.
import { workerOfFile } from './assets.js';
import { LlamaError } from './errors.js';
import { workerCode } from './worker-code.js';

/**
 * The ways to get the package's Worker, in the order in which to try them: from its file, which is allowed wherever
 * scripts are; and from a blob with the same code, where there is no such file (some bundlers do not copy it) or it is
 * on another origin, of which browsers start no Workers.
 */
export const ways: readonly (() => Worker)[] = [workerOfFile, workerOfBlob];

function workerOfBlob(): Worker {
  const url = URL.createObjectURL(new Blob([workerCode], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: 'llama-webgpu' });
  const forget = () => URL.revokeObjectURL(url); // once it runs, or cannot
  worker.addEventListener('message', forget, { once: true });
  worker.addEventListener('error', forget, { once: true });
  return worker;
}

/** The error when there is no way. */
export function noWorker(reasons: readonly string[]): LlamaError {
  if (typeof Worker === 'undefined')
    return new LlamaError(
      'webgpu-unavailable',
      'There are no Workers here: call load() in a browser, after server-side rendering; in Node, import llama-webgpu/node.',
    );
  return new LlamaError(
    'not-found',
    `The Worker of llama-webgpu could not be started, neither from its file nor from a blob: copy node_modules/llama-webgpu/dist/worker-thread.js to where your bundle is served, allow worker-src blob: in the content security policy, or pass { worker: new Worker(…) } of that file to load(). (${reasons.join('; ')})`,
  );
}
