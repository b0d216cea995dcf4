// The JavaScript half of the js backend: it holds the WebGPU objects by number, so that Go
// crosses the border once for a call and once for a whole program, not once for a dispatch.
// Go evaluates this file unless globalThis.llamaWebGPUBackend is there already, for pages whose
// content security policy forbids that.
(() => {
  const wanted = ['maxBufferSize', 'maxStorageBufferBindingSize', 'maxUniformBufferBindingSize',
    'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup', 'maxComputeWorkgroupSizeX',
    'maxComputeWorkgroupSizeY', 'maxComputeWorkgroupSizeZ', 'maxComputeWorkgroupsPerDimension',
    'maxStorageBuffersPerShaderStage', 'maxUniformBuffersPerShaderStage'];
  const bindingTypes = ['uniform', 'read-only-storage', 'storage'];

  const requestAdapter = async () => {
    const gpu = globalThis.navigator?.gpu;
    return gpu ? await gpu.requestAdapter({ powerPreference: 'high-performance' }) : null;
  };

  const describe = (adapter) => {
    const i = adapter.info ?? adapter.adapterInfo ?? {};
    const name = i.description || i.device || [i.vendor, i.architecture].filter(Boolean).join(' ') || 'WebGPU adapter';
    return { name, vendor: i.vendor ?? '', fallback: !!(i.isFallbackAdapter ?? adapter.isFallbackAdapter) };
  };

  class Backend {
    // lent says that the device is another's, who destroys it.
    constructor(adapter, device, lent = false) {
      this.adapter = describe(adapter);
      this.device = device;
      this.lent = lent;
      this.failure = ''; // the first error that no call has returned
      this.lost = '';
      this.closed = false;
      this.objects = new Map();
      this.last = 0;
      this.scratch = new Uint8Array(0);
      this.listener = (e) => { this.failure ||= e.error.message; };
      device.addEventListener('uncapturederror', this.listener);
      device.lost.then((info) => { if (!this.closed) this.lost ||= info.message || 'lost'; });
    }

    limit(name) { return this.device.limits[name]; }

    feature(name) {
      return this.device.features.has(name) || !!navigator.gpu.wgslLanguageFeatures?.has(name);
    }

    // subgroup returns how many threads a subgroup has at least, 0 if that is not known.
    subgroup() { return this.device.adapterInfo?.subgroupMinSize ?? 0; }

    keep(object) {
      this.objects.set(++this.last, object);
      return this.last;
    }

    drop(id) { this.objects.delete(id); }

    // scoped returns make()'s object, or throws the error it met; kind is set on that error.
    async scoped(make) {
      for (const filter of ['internal', 'validation', 'out-of-memory']) this.device.pushErrorScope(filter);
      let object, thrown;
      try { object = make(); } catch (e) { thrown = e; }
      // All are popped before anything is waited for: another call may push its own meanwhile.
      const [memory, validation, internal] = await Promise.all([0, 1, 2].map(() => this.device.popErrorScope()));
      if (memory) throw Object.assign(new Error(memory.message), { kind: 'out-of-memory' });
      const e = thrown ?? validation ?? internal;
      if (e) throw new Error(e.message);
      return object;
    }

    async newBuffer(label, size, usage) {
      return this.keep(await this.scoped(() => this.device.createBuffer({ label, size, usage })));
    }

    freeBuffer(id) {
      this.objects.get(id).destroy();
      this.drop(id);
    }

    // buffer returns n bytes that Go may fill.
    buffer(n) {
      if (this.scratch.length < n) this.scratch = new Uint8Array(n);
      return this.scratch;
    }

    write(id, offset, n) {
      this.device.queue.writeBuffer(this.objects.get(id), offset, this.scratch, 0, n);
    }

    async newPipeline(label, code, entryPoint, ...types) {
      let layout, module;
      const pipeline = await this.scoped(() => {
        layout = this.device.createBindGroupLayout({
          label,
          entries: types.map((t, binding) => ({ binding, visibility: 4, buffer: { type: bindingTypes[t] } })),
        });
        module = this.device.createShaderModule({ label, code });
        return this.device.createComputePipeline({
          label, layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }), compute: { module, entryPoint },
        });
      }).catch(async (e) => {
        const messages = (await module?.getCompilationInfo())?.messages ?? [];
        const errors = messages.filter((m) => m.type === 'error').map((m) => `${m.lineNum}:${m.linePos}: ${m.message}`);
        throw new Error([...errors, e.message].join('\n'));
      });
      return [this.keep(pipeline), this.keep(layout)];
    }

    newBindGroup(label, layout, ...ranges) { // buffer, offset, size; buffer, offset, size; …
      const entries = [];
      for (let i = 0; i < ranges.length; i += 3) {
        const [id, offset, size] = ranges.slice(i, i + 3);
        entries.push({ binding: i / 3, resource: { buffer: this.objects.get(id), offset, size } });
      }
      return this.keep(this.device.createBindGroup({ label, layout: this.objects.get(layout), entries }));
    }

    // record turns Go's steps, as bytes, into a list to be replayed.
    record(n) {
      const view = new DataView(this.scratch.buffer, 0, n);
      const word = (at) => Number(view.getBigUint64(at, true));
      const steps = [];
      for (let at = 0; at < n; at += 72) {
        steps.push({
          pipeline: this.objects.get(word(at)), group: this.objects.get(word(at + 8)),
          x: view.getUint32(at + 16, true), y: view.getUint32(at + 20, true), z: view.getUint32(at + 24, true),
          src: this.objects.get(word(at + 32)), dst: this.objects.get(word(at + 40)),
          srcOff: word(at + 48), dstOff: word(at + 56), size: word(at + 64),
        });
      }
      return steps;
    }

    run(...programs) {
      const encoder = this.device.createCommandEncoder();
      let pass = null;
      let pipeline = null;
      for (const steps of programs) {
        for (const s of steps) {
          if (!s.pipeline) {
            pass?.end();
            pass = pipeline = null;
            encoder.copyBufferToBuffer(s.src, s.srcOff, s.dst, s.dstOff, s.size);
            continue;
          }
          pass ??= encoder.beginComputePass();
          if (s.pipeline !== pipeline) pass.setPipeline(pipeline = s.pipeline);
          pass.setBindGroup(0, s.group);
          pass.dispatchWorkgroups(s.x, s.y, s.z);
        }
      }
      pass?.end();
      this.device.queue.submit([encoder.finish()]);
    }

    // runTimed returns the beginning and the end of each dispatch, in nanoseconds from the first beginning on.
    async runTimed(steps) {
      const ticks = [];
      for (let i = 0; i < steps.length; i += 2048) ticks.push(...await this.timed(steps.slice(i, i + 2048)));
      return ticks.map((t) => Number(t - ticks[0]));
    }

    async timed(steps) {
      const count = steps.filter((s) => s.pipeline).length;
      const size = Math.max(count, 1) * 16;
      const querySet = this.device.createQuerySet({ type: 'timestamp', count: Math.max(count, 1) * 2 });
      const resolved = this.device.createBuffer({ size, usage: 0x200 | 0x4 });
      const staging = this.device.createBuffer({ size, usage: 0x1 | 0x8 });
      try {
        const encoder = this.device.createCommandEncoder();
        let query = 0;
        for (const s of steps) {
          if (!s.pipeline) {
            encoder.copyBufferToBuffer(s.src, s.srcOff, s.dst, s.dstOff, s.size);
            continue;
          }
          const pass = encoder.beginComputePass({
            timestampWrites: { querySet, beginningOfPassWriteIndex: query, endOfPassWriteIndex: query + 1 },
          });
          pass.setPipeline(s.pipeline);
          pass.setBindGroup(0, s.group);
          pass.dispatchWorkgroups(s.x, s.y, s.z);
          pass.end();
          query += 2;
        }
        if (query) encoder.resolveQuerySet(querySet, 0, query, resolved, 0);
        encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
        this.device.queue.submit([encoder.finish()]);
        await staging.mapAsync(1);
        return [...new BigInt64Array(staging.getMappedRange())].slice(0, 2 * count);
      } finally {
        querySet.destroy();
        resolved.destroy();
        staging.destroy();
      }
    }

    startRead(src, offset, staging, n) {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(this.objects.get(src), offset, this.objects.get(staging), 0, n);
      this.device.queue.submit([encoder.finish()]);
      return this.startMap(staging, n);
    }

    startMap(staging, n) {
      const mapped = this.objects.get(staging).mapAsync(1, 0, n);
      mapped.catch(() => {}); // Go may have stopped waiting
      return mapped;
    }

    mapped(staging, from, to) { return new Uint8Array(this.objects.get(staging).getMappedRange(0, to + 3 & ~3)).subarray(from, to); }

    unmap(staging) { this.objects.get(staging).unmap(); }

    // settle lets errors of what was submitted arrive.
    async settle() { await this.device.queue.onSubmittedWorkDone(); }

    mark() {
      const done = this.settle();
      done.catch(() => {}); // nobody may wait for it
      return done;
    }

    close() {
      this.closed = true;
      this.device.removeEventListener('uncapturederror', this.listener);
      if (!this.lent) this.device.destroy();
      this.objects.clear();
    }
  }

  return {
    async describe() {
      const adapter = await requestAdapter();
      return adapter && describe(adapter);
    },
    lend(device) { return new Backend(device, device, true); },
    async open() {
      const adapter = await requestAdapter();
      if (!adapter) return null;
      const requiredLimits = {};
      for (const name of wanted) requiredLimits[name] = adapter.limits[name];
      const requiredFeatures = ['timestamp-query', 'shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'].filter((f) => adapter.features.has(f));
      return new Backend(adapter, await adapter.requestDevice({ requiredLimits, requiredFeatures }));
    },
  };
})()
