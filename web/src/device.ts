import { checked, oneOf, options as optionsOf } from './arguments.js';
import { LlamaError } from './errors.js';

export interface DeviceOptions {
  /** Which GPU, if there are two. Default: the fast one. */
  powerPreference?: GPUPowerPreference;
}

/** The limits that help the kernels: as much is requested as the adapter offers. */
const wanted = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxUniformBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBuffersPerShaderStage',
  'maxUniformBuffersPerShaderStage',
] as const;

const features = ['timestamp-query', 'shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'] as const;

/**
 * Opens a GPU: picks the adapter and requests the largest limits that it offers. Any other GPUDevice works with this
 * package, too.
 */
export async function gpuDevice(options: DeviceOptions = {}): Promise<GPUDevice> {
  const powerPreference =
    checked(() =>
      oneOf('powerPreference', optionsOf(options).powerPreference, ['low-power', 'high-performance'] as const),
    ) ?? 'high-performance';
  const gpu = globalThis.navigator?.gpu as GPU | undefined;
  if (!gpu) throw new LlamaError('webgpu-unavailable', unavailable());
  const adapter = await gpu.requestAdapter({ powerPreference }).catch(() => null);
  if (!adapter) {
    throw new LlamaError(
      'no-adapter',
      inNode()
        ? 'WebGPU is available but offers no GPU: Dawn finds none with a driver for Vulkan, Metal or Direct3D 12.'
        : 'WebGPU is available but offers no GPU: the browser may have blocked its driver, or hardware acceleration is turned off.',
    );
  }
  const requiredLimits: Record<string, number> = {};
  for (const name of wanted) {
    const limit = adapter.limits[name];
    if (limit !== undefined) requiredLimits[name] = limit;
  }
  const requiredFeatures = features.filter((f) => adapter.features.has(f as GPUFeatureName)) as GPUFeatureName[];
  try {
    return await adapter.requestDevice({ label: 'llama-webgpu', requiredLimits, requiredFeatures });
  } catch (e) {
    throw new LlamaError('no-adapter', `The GPU refused to open a device: ${(e as Error).message}`, { cause: e });
  }
}

function inNode(): boolean {
  const versions = (globalThis as { process?: { versions?: { node?: string; electron?: string } } }).process?.versions;
  return Boolean(versions?.node && !versions.electron); // Electron's pages have WebGPU
}

/** Why there is no WebGPU, as far as the page can tell. */
function unavailable(): string {
  if (inNode()) return 'Node has no WebGPU of its own: npm install webgpu, and import llama-webgpu/node.';
  if (globalThis.origin === 'null' && globalThis.isSecureContext === false)
    return 'WebGPU needs a secure page, which a sandboxed frame is only with sandbox="allow-scripts allow-same-origin".';
  if (globalThis.isSecureContext === false) return 'WebGPU needs a secure page: https or localhost.';
  return 'This browser has no WebGPU, or it is turned off.';
}
