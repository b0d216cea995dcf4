// Runs the suite in Node, on Dawn: node test/node.mjs BASE-URL [PATTERN]. Writes a line of JSON for each test.
globalThis.location = { href: process.argv[2] };
const { installWebGPU } = await import('llama-webgpu/node');
await installWebGPU();
const { leave, watchDevices } = await import('./leave.mjs');
watchDevices();
const { run } = await import('./suite.js');
await run((r) => console.log(JSON.stringify(r)), new RegExp(process.argv[3] ?? '.'));
await leave();
