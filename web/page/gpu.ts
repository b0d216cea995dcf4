import { $, bytes } from './dom.js';

/** Shows which GPU there is, or what to do to get one; returns whether there is one. */
export async function lookForGPU(): Promise<boolean> {
  const gpu = navigator.gpu as GPU | undefined;
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter) {
    const { vendor, architecture, device, description } = adapter.info;
    const name = description || [vendor, architecture, device].filter(Boolean).join(' ') || 'a GPU';
    const has = [...(['shader-f16', 'subgroups'] as const)].filter((f) => adapter.features.has(f));
    $('adapter').textContent =
      `${name} · bindings to ${bytes(adapter.limits.maxStorageBufferBindingSize)}${has.length ? ` · ${has.join(', ')}` : ''}`;
    return true;
  }
  $('adapter').textContent = 'No GPU';
  $('missing-why').textContent = !isSecureContext
    ? `WebGPU works only on secure pages (https or localhost). This page is ${location.origin}.`
    : gpu
      ? 'WebGPU is available, but the browser offers no GPU: its driver may be blocked, or hardware acceleration turned off.'
      : 'This page needs WebGPU to compute on the GPU. This browser does not have it, or it is turned off.';
  $('missing').hidden = false;
  $('main').hidden = true;
  return false;
}
