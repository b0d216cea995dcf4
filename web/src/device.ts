import { LlamaError } from './errors.js';

export interface DeviceOptions {
  /** Which GPU, where there are two; the fast one unless told. */
  powerPreference?: GPUPowerPreference;
}

/** The limits that the kernels profit from: all that the adapter offers is asked for. */
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

const features = ['timestamp-query', 'shader-f16', 'subgroups'] as const;

/**
 * Opens a GPU: picks the adapter and asks for what it offers. Every GPUDevice will do for this
 * package; this one has the largest limits.
 */
export async function gpuDevice(options: DeviceOptions = {}): Promise<GPUDevice> {
  const gpu = globalThis.navigator?.gpu as GPU | undefined;
  if (!gpu) throw new LlamaError('webgpu-unavailable', unavailable());
  const adapter = await gpu.requestAdapter({ powerPreference: options.powerPreference ?? 'high-performance' });
  if (!adapter) {
    throw new LlamaError(
      'no-adapter',
      'WebGPU is here but offers no GPU: the browser may have blocked its driver, or hardware acceleration is turned off.',
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
    throw new LlamaError('no-adapter', `The GPU gives no device: ${(e as Error).message}`, { cause: e });
  }
}

/** Why there is no WebGPU, as far as can be known from here. */
function unavailable(): string {
  if (globalThis.isSecureContext === false) return 'WebGPU needs a secure page: https, or localhost.';
  return 'This browser has no WebGPU, or it is turned off.';
}
