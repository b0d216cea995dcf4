import { load } from 'llama-webgpu/worker';

const out = document.getElementById('out');
try {
  const model = await load('models/tiny/', {
    onProgress: (p) => {
      out.textContent = `Loading … ${Math.round((100 * p.loaded) / p.total)} %`;
    },
  });
  out.textContent = 'It was a cold morning';
  for await (const text of model.generate(out.textContent, { maxTokens: 40, temperature: 0 })) out.append(text);
  document.body.dataset.state = 'done';
} catch (e) {
  out.textContent = `${e.code}: ${e.message}`;
}
