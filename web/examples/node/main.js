// node main.js DIR [PROMPT]: continues a text with the bundle in DIR.
import { load } from 'llama-webgpu/node';

const [dir, prompt = 'It was a cold morning'] = process.argv.slice(2);
if (!dir) {
  console.error('usage: node main.js DIR [PROMPT]');
  process.exit(2);
}
const model = await load(dir);
process.stdout.write(prompt);
for await (const text of model.generate(prompt, { maxTokens: 40, temperature: 0 })) process.stdout.write(text);
const { tokensPerSecond, device } = await model.stats();
console.log(`\n\n${tokensPerSecond.toFixed(1)} tokens/s on ${device.adapter}`);
await model.dispose();
process.exit(0); // the GPU's own threads would keep the process
