// GPUDevices that are not quite real.

/** A device that has no room for buffers of more than `most` bytes. */
export function fullDevice(real, most) {
  let full = false;
  const own = {
    createBuffer(o) {
      full ||= o.size > most;
      return real.createBuffer(o.size > most ? { ...o, size: 4 } : o);
    },
    async popErrorScope() {
      const error = await real.popErrorScope();
      const none = full ? { message: 'there is no room' } : error;
      full = false;
      return none;
    },
  };
  return new Proxy(real, { get: (o, k) => own[k] ?? (typeof o[k] === 'function' ? o[k].bind(o) : o[k]) });
}

/** A GPUDevice whose buffers have a size, but no content. */
export function fakeDevice(real) {
  const nothing = async () => null;
  const device = {
    written: 0,
    largestWrite: 0,
    adapterInfo: real.adapterInfo,
    features: real.features,
    lost: new Promise(() => {}),
    limits: new Proxy(real.limits, {
      get: (l, k) => (k === 'maxBufferSize' || k === 'maxStorageBufferBindingSize' ? 2 ** 31 : l[k]),
    }),
    addEventListener() {},
    removeEventListener() {},
    pushErrorScope() {},
    popErrorScope: nothing,
    createBuffer: ({ size }) => ({ size, destroy() {} }),
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createShaderModule: () => ({}),
    createComputePipeline: () => ({}),
    createBindGroup: () => ({}),
    createCommandEncoder: () => ({
      beginComputePass: () => ({ setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {}, end() {} }),
      copyBufferToBuffer() {},
      finish() {},
    }),
    queue: {
      submit() {},
      onSubmittedWorkDone: nothing,
      writeBuffer(_buffer, _offset, _data, _from, n) {
        device.written += n;
        device.largestWrite = Math.max(device.largestWrite, n);
      },
    },
  };
  return device;
}
