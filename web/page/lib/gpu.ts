import { bytes } from './format.js';

/** What the browser offers to compute on, or why it offers nothing. */
export interface Adapter {
  there: boolean;
  text: string;
}

/** Looks for a GPU. */
export async function lookForGPU(): Promise<Adapter> {
  const gpu = navigator.gpu as GPU | undefined;
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (adapter) {
    const { vendor, architecture, device, description } = adapter.info;
    const name = description || [vendor, architecture, device].filter(Boolean).join(' ') || 'a GPU';
    const has = (['shader-f16', 'subgroups'] as const).filter((f) => adapter.features.has(f));
    const bindings = `bindings to ${bytes(adapter.limits.maxStorageBufferBindingSize)}`;
    return { there: true, text: [name, bindings, ...has].join(' · ') };
  }
  if (!isSecureContext)
    return {
      there: false,
      text: `WebGPU works only on secure pages (https or localhost). This page is ${location.origin}.`,
    };
  return {
    there: false,
    text: gpu
      ? 'WebGPU is available, but the browser offers no GPU: its driver may be blocked, or hardware acceleration turned off.'
      : 'This page needs WebGPU to compute on your GPU. This browser does not have it, or it is turned off.',
  };
}
