import { defineConfig } from 'vite';

export default defineConfig({
  // The package finds its WebAssembly and its Worker beside its own files; Vite's pre-bundling would move these.
  optimizeDeps: { exclude: ['llama-webgpu'] },
  worker: { format: 'es' },
  build: { target: 'es2022' },
});
