// The functions of webgpu.h and wgpu.h that native.c calls, on the types of native_types.h. TestABI compiles these
// declarations after those of the library's headers, with their types: the compiler refuses what differs.
#ifndef LW_NATIVE_FUNCTIONS_H
#define LW_NATIVE_FUNCTIONS_H

extern abi_instance wgpuCreateInstance(const abi_instance_descriptor *);
extern void wgpuInstanceRelease(abi_instance);
extern size_t wgpuInstanceEnumerateAdapters(abi_instance, const abi_enumerate_options *, abi_adapter *);
extern void wgpuAdapterGetInfo(abi_adapter, abi_adapter_info *);
extern void wgpuAdapterInfoFreeMembers(abi_adapter_info);
extern uint32_t wgpuAdapterGetLimits(abi_adapter, abi_chained_limits *);
extern uint32_t wgpuAdapterHasFeature(abi_adapter, uint32_t feature);
extern void wgpuAdapterRequestDevice(abi_adapter, const abi_device_descriptor *, abi_device_callback, void *user);
extern void wgpuAdapterRelease(abi_adapter);
extern abi_queue wgpuDeviceGetQueue(abi_device);
extern void wgpuDeviceRelease(abi_device);
extern uint32_t wgpuDevicePoll(abi_device, uint32_t wait, const abi_submission *);
extern abi_buffer wgpuDeviceCreateBuffer(abi_device, const abi_buffer_descriptor *);
extern abi_module wgpuDeviceCreateShaderModule(abi_device, const abi_module_descriptor *);
extern abi_layout wgpuDeviceCreateBindGroupLayout(abi_device, const abi_layout_descriptor *);
extern abi_pipeline_layout wgpuDeviceCreatePipelineLayout(abi_device, const abi_pipeline_layout_descriptor *);
extern abi_pipeline wgpuDeviceCreateComputePipeline(abi_device, const abi_pipeline_descriptor *);
extern abi_group wgpuDeviceCreateBindGroup(abi_device, const abi_group_descriptor *);
extern abi_encoder wgpuDeviceCreateCommandEncoder(abi_device, const abi_encoder_descriptor *);
extern abi_queries wgpuDeviceCreateQuerySet(abi_device, const abi_queries_descriptor *);
extern void wgpuBufferDestroy(abi_buffer);
extern void wgpuBufferRelease(abi_buffer);
extern void wgpuBufferMapAsync(abi_buffer, uint32_t mode, size_t offset, size_t size, abi_map_callback, void *user);
extern const void *wgpuBufferGetConstMappedRange(abi_buffer, size_t offset, size_t size);
extern void *wgpuBufferGetMappedRange(abi_buffer, size_t offset, size_t size);
extern void wgpuBufferUnmap(abi_buffer);
extern void wgpuShaderModuleRelease(abi_module);
extern void wgpuBindGroupLayoutRelease(abi_layout);
extern void wgpuPipelineLayoutRelease(abi_pipeline_layout);
extern void wgpuComputePipelineRelease(abi_pipeline);
extern void wgpuBindGroupRelease(abi_group);
extern void wgpuQuerySetRelease(abi_queries);
extern abi_pass wgpuCommandEncoderBeginComputePass(abi_encoder, const abi_pass_descriptor *);
extern void wgpuCommandEncoderCopyBufferToBuffer(abi_encoder, abi_buffer src, uint64_t from, abi_buffer dst, uint64_t to, uint64_t size);
extern void wgpuCommandEncoderResolveQuerySet(abi_encoder, abi_queries, uint32_t first, uint32_t n, abi_buffer, uint64_t offset);
extern abi_commands wgpuCommandEncoderFinish(abi_encoder, const abi_commands_descriptor *);
extern void wgpuCommandEncoderRelease(abi_encoder);
extern void wgpuCommandBufferRelease(abi_commands);
extern void wgpuComputePassEncoderSetPipeline(abi_pass, abi_pipeline);
extern void wgpuComputePassEncoderSetBindGroup(abi_pass, uint32_t index, abi_group, size_t n, const uint32_t *offsets);
extern void wgpuComputePassEncoderDispatchWorkgroups(abi_pass, uint32_t x, uint32_t y, uint32_t z);
extern void wgpuComputePassEncoderEnd(abi_pass);
extern void wgpuComputePassEncoderRelease(abi_pass);
extern void wgpuQueueSubmit(abi_queue, size_t n, const abi_commands *);
extern void wgpuQueueWriteBuffer(abi_queue, abi_buffer, uint64_t offset, const void *data, size_t size);
extern void wgpuQueueOnSubmittedWorkDone(abi_queue, abi_done_callback, void *user);
extern void wgpuQueueRelease(abi_queue);

#endif
