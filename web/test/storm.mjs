// Runs the storm in Node, on Dawn: node --expose-gc test/storm.mjs BASE-URL SEED SECONDS. Its last line is the result.
globalThis.location = { href: process.argv[2] };
const { installWebGPU } = await import('llama-webgpu/node');
await installWebGPU();
const { leave, watchDevices } = await import('./leave.mjs');
watchDevices();
const { storm } = await import('./storm.js');
const [seed, seconds] = process.argv.slice(3).map(Number);
console.log(JSON.stringify(await storm({ seed, seconds, tell: console.log })));
await leave();
