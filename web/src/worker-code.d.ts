/** The text of dist/worker-thread.js, from internal/tools/page. */
export const workerCode: string;
