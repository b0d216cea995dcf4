// Compiles kernels with Dawn, whose compiler (Tint) is Chrome's, within WebGPU's default limits.
//   node tint.mjs KERNELS.json [FOLDER-OF-DAWN'S-PACKAGE [BACKEND]]
// KERNELS.json is what `go test -dump` writes: [{Key, Source, Entry, Needs, WorkgroupBytes}]. The backend null, which is
// the default, needs no driver: Tint checks the source and Dawn the pipeline. With
// vulkan, metal or d3d12 the driver compiles the kernels as well.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [file, from = ".", backend = "null"] = process.argv.slice(2);
const require = createRequire(resolve(from) + "/");
const dawn = await import(require.resolve("webgpu"));
Object.assign(globalThis, dawn.globals);

const gpu = dawn.create([`backend=${backend}`, "enable-dawn-features=allow_unsafe_apis"]); // for subgroup matrices
const adapter = await gpu.requestAdapter();
if (!adapter) {
  console.error(`Dawn finds no adapter for ${backend}`);
  process.exit(1);
}
const features = { f16: "shader-f16", subgroups: "subgroups", chromium_experimental_subgroup_matrix: "chromium-experimental-subgroup-matrix" };
const requiredFeatures = Object.values(features);
const missing = requiredFeatures.filter((f) => !adapter.features.has(f));
if (missing.length) console.error(`${backend} has no ${missing}: kernels that need it are not compiled`);
const kernels = JSON.parse(readFileSync(file, "utf8"));
const device = await adapter.requestDevice({ requiredFeatures: requiredFeatures.filter((f) => !missing.includes(f)) });
device.lost.then((l) => l.reason !== "destroyed" && console.error("device lost:", l.message));

let bad = 0;
let skipped = 0;
for (const k of kernels) {
  if ((k.Needs ?? []).some((n) => missing.includes(features[n]))) {
    skipped++;
    continue;
  }
  const problems = await compile(k);
  if (problems.length === 0) continue;
  bad++;
  console.error(`${k.Key}\n  ${problems.join("\n  ")}`);
}
console.log(`${kernels.length - bad - skipped} of ${kernels.length} kernels compile with Tint (backend ${backend})`);
process.exit(bad || (skipped && backend === "null") ? 1 : 0); // Dawn's own event loop would keep Node alive

// compile returns the compiler's messages about one kernel, including warnings.
async function compile(k) {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: k.Key, code: k.Source });
  const { messages } = await module.getCompilationInfo();
  const problems = messages.map((m) => `${m.type} at ${m.lineNum}:${m.linePos}: ${m.message}`);
  const invalid = await device.popErrorScope();
  if (invalid) {
    if (problems.length === 0) problems.push(invalid.message);
    return problems;
  }
  // A kernel that needs more workgroup memory than every device has is checked by Tint only.
  if (k.WorkgroupBytes > device.limits.maxComputeWorkgroupStorageSize) return problems;
  try {
    await device.createComputePipelineAsync({ label: k.Key, layout: "auto", compute: { module, entryPoint: k.Entry } });
  } catch (e) {
    problems.push(e.message);
  }
  return problems;
}
