// Scripts that are loaded when they are needed: the page is drawn before.

/** The npm package, which is served beside the page in files of its own: it finds its Worker and its WebAssembly from there. */
export async function runtime(): Promise<typeof import('../src/worker.js')> {
  const base = './llama-webgpu/';
  return (await import(`${base}worker.js`)) as typeof import('../src/worker.js');
}

export const markdown = (): Promise<typeof import('./markdown.js')> => import('./markdown.js');
export const highlighting = (): Promise<typeof import('./highlight.js')> => import('./highlight.js');
export const formulas = (): Promise<typeof import('./math.js')> => import('./math.js');
export const settingsDrawer = (): Promise<typeof import('./preferences.js')> => import('./preferences.js');
export const files = (): Promise<typeof import('./files.js')> => import('./files.js');
export const shortcuts = (): Promise<typeof import('./shortcuts.js')> => import('./shortcuts.js');
export const measuring = (): Promise<typeof import('./measure.js')> => import('./measure.js');
