// What every bundler builds: a text from a model in a Worker; with ?both in the address, then the same in the page.
import { load } from 'llama-webgpu';
import { load as loadInWorker } from 'llama-webgpu/worker';

const prompt = 'It was a cold morning';

export async function run(out) {
  if (document.body.dataset.state) return; // React's development mode begins twice
  document.body.dataset.state = 'running';
  try {
    for (const start of location.search.includes('both') ? [loadInWorker, load] : [loadInWorker]) {
      const model = await start('/models/tiny/', { cache: false, kernels: 'baseline', maxSeqLen: 64 });
      out.append(prompt);
      for await (const text of model.generate(prompt, { maxTokens: 4, temperature: 0 })) out.append(text);
      out.append('\n');
      await model.dispose();
    }
    document.body.dataset.state = 'done';
  } catch (e) {
    out.append(`${e.code}: ${e.message}`);
    document.body.dataset.state = 'failed';
  }
}
