// Ends a process of Node that has used a GPU. A software adapter computes on threads of its own; those that still compute for
// a text that was given up crash when the process is torn down around them.
const devices = [];

/** To be called once there is a GPU, before the first device. */
export function watchDevices() {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...options) {
    const device = await requestDevice.apply(this, options);
    devices.push(device);
    return device;
  };
}

/** Waits for what devices compute, and exits: a device of Dawn's would keep the process. */
export async function leave() {
  await Promise.allSettled(devices.map((d) => d.queue.onSubmittedWorkDone()));
  for (const d of devices) d.destroy();
  process.exit(0);
}
