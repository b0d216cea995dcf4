// What native_types.h and native_functions.h declare, compared with the headers of the library that is linked. Compiling
// it is the test; TestABI adds the values that Go repeats.
#include <stddef.h>
#include <webgpu.h>
#include <wgpu.h>

#include "native.h"
#include "native_types.h"

#define SAME(ours, theirs) _Static_assert(sizeof(ours) == sizeof(theirs), #ours " has another size than " #theirs);
#define FIELD(ours, field, theirs, same) \
	_Static_assert(offsetof(ours, field) == offsetof(theirs, same), #ours "." #field " lies elsewhere than " #theirs "." #same); \
	_Static_assert(sizeof(((ours *)0)->field) == sizeof(((theirs *)0)->same), #ours "." #field " has another size than " #theirs "." #same);
#define VALUE(ours, theirs) _Static_assert((long)(ours) == (long)(theirs), #ours " is not " #theirs);

SAME(abi_chain, WGPUChainedStruct)
FIELD(abi_chain, next, WGPUChainedStruct, next)
FIELD(abi_chain, type, WGPUChainedStruct, sType)
SAME(abi_instance_extras, WGPUInstanceExtras)
FIELD(abi_instance_extras, chain, WGPUInstanceExtras, chain)
FIELD(abi_instance_extras, backends, WGPUInstanceExtras, backends)
FIELD(abi_instance_extras, flags, WGPUInstanceExtras, flags)
FIELD(abi_instance_extras, dx12_compiler, WGPUInstanceExtras, dx12ShaderCompiler)
FIELD(abi_instance_extras, gles3_minor, WGPUInstanceExtras, gles3MinorVersion)
FIELD(abi_instance_extras, dxil_path, WGPUInstanceExtras, dxilPath)
FIELD(abi_instance_extras, dxc_path, WGPUInstanceExtras, dxcPath)
SAME(abi_instance_descriptor, WGPUInstanceDescriptor)
FIELD(abi_instance_descriptor, next, WGPUInstanceDescriptor, nextInChain)
SAME(abi_enumerate_options, WGPUInstanceEnumerateAdapterOptions)
FIELD(abi_enumerate_options, next, WGPUInstanceEnumerateAdapterOptions, nextInChain)
FIELD(abi_enumerate_options, backends, WGPUInstanceEnumerateAdapterOptions, backends)
SAME(abi_adapter_info, WGPUAdapterInfo)
FIELD(abi_adapter_info, next, WGPUAdapterInfo, nextInChain)
FIELD(abi_adapter_info, vendor, WGPUAdapterInfo, vendor)
FIELD(abi_adapter_info, architecture, WGPUAdapterInfo, architecture)
FIELD(abi_adapter_info, device, WGPUAdapterInfo, device)
FIELD(abi_adapter_info, description, WGPUAdapterInfo, description)
FIELD(abi_adapter_info, backend, WGPUAdapterInfo, backendType)
FIELD(abi_adapter_info, type, WGPUAdapterInfo, adapterType)
FIELD(abi_adapter_info, vendor_id, WGPUAdapterInfo, vendorID)
FIELD(abi_adapter_info, device_id, WGPUAdapterInfo, deviceID)
SAME(abi_limits, WGPULimits)
FIELD(abi_limits, max_texture_1d, WGPULimits, maxTextureDimension1D)
FIELD(abi_limits, max_texture_2d, WGPULimits, maxTextureDimension2D)
FIELD(abi_limits, max_texture_3d, WGPULimits, maxTextureDimension3D)
FIELD(abi_limits, max_texture_layers, WGPULimits, maxTextureArrayLayers)
FIELD(abi_limits, max_bind_groups, WGPULimits, maxBindGroups)
FIELD(abi_limits, max_bind_groups_plus_vertex_buffers, WGPULimits, maxBindGroupsPlusVertexBuffers)
FIELD(abi_limits, max_bindings_per_group, WGPULimits, maxBindingsPerBindGroup)
FIELD(abi_limits, max_dynamic_uniforms, WGPULimits, maxDynamicUniformBuffersPerPipelineLayout)
FIELD(abi_limits, max_dynamic_storages, WGPULimits, maxDynamicStorageBuffersPerPipelineLayout)
FIELD(abi_limits, max_sampled_textures, WGPULimits, maxSampledTexturesPerShaderStage)
FIELD(abi_limits, max_samplers, WGPULimits, maxSamplersPerShaderStage)
FIELD(abi_limits, max_storage_buffers, WGPULimits, maxStorageBuffersPerShaderStage)
FIELD(abi_limits, max_storage_textures, WGPULimits, maxStorageTexturesPerShaderStage)
FIELD(abi_limits, max_uniform_buffers, WGPULimits, maxUniformBuffersPerShaderStage)
FIELD(abi_limits, max_uniform_binding, WGPULimits, maxUniformBufferBindingSize)
FIELD(abi_limits, max_storage_binding, WGPULimits, maxStorageBufferBindingSize)
FIELD(abi_limits, min_uniform_align, WGPULimits, minUniformBufferOffsetAlignment)
FIELD(abi_limits, min_storage_align, WGPULimits, minStorageBufferOffsetAlignment)
FIELD(abi_limits, max_vertex_buffers, WGPULimits, maxVertexBuffers)
FIELD(abi_limits, max_buffer_size, WGPULimits, maxBufferSize)
FIELD(abi_limits, max_vertex_attributes, WGPULimits, maxVertexAttributes)
FIELD(abi_limits, max_vertex_stride, WGPULimits, maxVertexBufferArrayStride)
FIELD(abi_limits, max_inter_stage_components, WGPULimits, maxInterStageShaderComponents)
FIELD(abi_limits, max_inter_stage_variables, WGPULimits, maxInterStageShaderVariables)
FIELD(abi_limits, max_color_attachments, WGPULimits, maxColorAttachments)
FIELD(abi_limits, max_color_bytes, WGPULimits, maxColorAttachmentBytesPerSample)
FIELD(abi_limits, max_workgroup_bytes, WGPULimits, maxComputeWorkgroupStorageSize)
FIELD(abi_limits, max_invocations, WGPULimits, maxComputeInvocationsPerWorkgroup)
FIELD(abi_limits, max_size_x, WGPULimits, maxComputeWorkgroupSizeX)
FIELD(abi_limits, max_size_y, WGPULimits, maxComputeWorkgroupSizeY)
FIELD(abi_limits, max_size_z, WGPULimits, maxComputeWorkgroupSizeZ)
FIELD(abi_limits, max_workgroups, WGPULimits, maxComputeWorkgroupsPerDimension)
SAME(abi_chained_limits, WGPUSupportedLimits)
FIELD(abi_chained_limits, next, WGPUSupportedLimits, nextInChain)
FIELD(abi_chained_limits, limits, WGPUSupportedLimits, limits)
SAME(abi_chained_limits, WGPURequiredLimits)
FIELD(abi_chained_limits, next, WGPURequiredLimits, nextInChain)
FIELD(abi_chained_limits, limits, WGPURequiredLimits, limits)
SAME(abi_device_descriptor, WGPUDeviceDescriptor)
FIELD(abi_device_descriptor, next, WGPUDeviceDescriptor, nextInChain)
FIELD(abi_device_descriptor, label, WGPUDeviceDescriptor, label)
FIELD(abi_device_descriptor, feature_count, WGPUDeviceDescriptor, requiredFeatureCount)
FIELD(abi_device_descriptor, features, WGPUDeviceDescriptor, requiredFeatures)
FIELD(abi_device_descriptor, limits, WGPUDeviceDescriptor, requiredLimits)
FIELD(abi_device_descriptor, queue, WGPUDeviceDescriptor, defaultQueue)
FIELD(abi_device_descriptor, queue.next, WGPUDeviceDescriptor, defaultQueue.nextInChain)
FIELD(abi_device_descriptor, queue.label, WGPUDeviceDescriptor, defaultQueue.label)
FIELD(abi_device_descriptor, lost, WGPUDeviceDescriptor, deviceLostCallback)
FIELD(abi_device_descriptor, lost_user, WGPUDeviceDescriptor, deviceLostUserdata)
FIELD(abi_device_descriptor, uncaptured, WGPUDeviceDescriptor, uncapturedErrorCallbackInfo)
FIELD(abi_device_descriptor, uncaptured.next, WGPUDeviceDescriptor, uncapturedErrorCallbackInfo.nextInChain)
FIELD(abi_device_descriptor, uncaptured.callback, WGPUDeviceDescriptor, uncapturedErrorCallbackInfo.callback)
FIELD(abi_device_descriptor, uncaptured.user, WGPUDeviceDescriptor, uncapturedErrorCallbackInfo.userdata)
SAME(abi_buffer_descriptor, WGPUBufferDescriptor)
FIELD(abi_buffer_descriptor, next, WGPUBufferDescriptor, nextInChain)
FIELD(abi_buffer_descriptor, label, WGPUBufferDescriptor, label)
FIELD(abi_buffer_descriptor, usage, WGPUBufferDescriptor, usage)
FIELD(abi_buffer_descriptor, size, WGPUBufferDescriptor, size)
FIELD(abi_buffer_descriptor, mapped, WGPUBufferDescriptor, mappedAtCreation)
SAME(abi_wgsl_descriptor, WGPUShaderModuleWGSLDescriptor)
FIELD(abi_wgsl_descriptor, chain, WGPUShaderModuleWGSLDescriptor, chain)
FIELD(abi_wgsl_descriptor, code, WGPUShaderModuleWGSLDescriptor, code)
SAME(abi_module_descriptor, WGPUShaderModuleDescriptor)
FIELD(abi_module_descriptor, next, WGPUShaderModuleDescriptor, nextInChain)
FIELD(abi_module_descriptor, label, WGPUShaderModuleDescriptor, label)
FIELD(abi_module_descriptor, hint_count, WGPUShaderModuleDescriptor, hintCount)
FIELD(abi_module_descriptor, hints, WGPUShaderModuleDescriptor, hints)
SAME(abi_layout_entry, WGPUBindGroupLayoutEntry)
FIELD(abi_layout_entry, next, WGPUBindGroupLayoutEntry, nextInChain)
FIELD(abi_layout_entry, binding, WGPUBindGroupLayoutEntry, binding)
FIELD(abi_layout_entry, visibility, WGPUBindGroupLayoutEntry, visibility)
FIELD(abi_layout_entry, buffer, WGPUBindGroupLayoutEntry, buffer)
FIELD(abi_layout_entry, buffer.next, WGPUBindGroupLayoutEntry, buffer.nextInChain)
FIELD(abi_layout_entry, buffer.type, WGPUBindGroupLayoutEntry, buffer.type)
FIELD(abi_layout_entry, buffer.dynamic, WGPUBindGroupLayoutEntry, buffer.hasDynamicOffset)
FIELD(abi_layout_entry, buffer.min_size, WGPUBindGroupLayoutEntry, buffer.minBindingSize)
FIELD(abi_layout_entry, sampler, WGPUBindGroupLayoutEntry, sampler)
FIELD(abi_layout_entry, sampler.next, WGPUBindGroupLayoutEntry, sampler.nextInChain)
FIELD(abi_layout_entry, sampler.type, WGPUBindGroupLayoutEntry, sampler.type)
FIELD(abi_layout_entry, texture, WGPUBindGroupLayoutEntry, texture)
FIELD(abi_layout_entry, texture.next, WGPUBindGroupLayoutEntry, texture.nextInChain)
FIELD(abi_layout_entry, texture.sample_type, WGPUBindGroupLayoutEntry, texture.sampleType)
FIELD(abi_layout_entry, texture.dimension, WGPUBindGroupLayoutEntry, texture.viewDimension)
FIELD(abi_layout_entry, texture.multisampled, WGPUBindGroupLayoutEntry, texture.multisampled)
FIELD(abi_layout_entry, storage_texture, WGPUBindGroupLayoutEntry, storageTexture)
FIELD(abi_layout_entry, storage_texture.next, WGPUBindGroupLayoutEntry, storageTexture.nextInChain)
FIELD(abi_layout_entry, storage_texture.access, WGPUBindGroupLayoutEntry, storageTexture.access)
FIELD(abi_layout_entry, storage_texture.format, WGPUBindGroupLayoutEntry, storageTexture.format)
FIELD(abi_layout_entry, storage_texture.dimension, WGPUBindGroupLayoutEntry, storageTexture.viewDimension)
SAME(abi_layout_descriptor, WGPUBindGroupLayoutDescriptor)
FIELD(abi_layout_descriptor, next, WGPUBindGroupLayoutDescriptor, nextInChain)
FIELD(abi_layout_descriptor, label, WGPUBindGroupLayoutDescriptor, label)
FIELD(abi_layout_descriptor, n, WGPUBindGroupLayoutDescriptor, entryCount)
FIELD(abi_layout_descriptor, entries, WGPUBindGroupLayoutDescriptor, entries)
SAME(abi_pipeline_layout_descriptor, WGPUPipelineLayoutDescriptor)
FIELD(abi_pipeline_layout_descriptor, next, WGPUPipelineLayoutDescriptor, nextInChain)
FIELD(abi_pipeline_layout_descriptor, label, WGPUPipelineLayoutDescriptor, label)
FIELD(abi_pipeline_layout_descriptor, n, WGPUPipelineLayoutDescriptor, bindGroupLayoutCount)
FIELD(abi_pipeline_layout_descriptor, layouts, WGPUPipelineLayoutDescriptor, bindGroupLayouts)
SAME(abi_pipeline_descriptor, WGPUComputePipelineDescriptor)
FIELD(abi_pipeline_descriptor, next, WGPUComputePipelineDescriptor, nextInChain)
FIELD(abi_pipeline_descriptor, label, WGPUComputePipelineDescriptor, label)
FIELD(abi_pipeline_descriptor, layout, WGPUComputePipelineDescriptor, layout)
FIELD(abi_pipeline_descriptor, compute, WGPUComputePipelineDescriptor, compute)
FIELD(abi_pipeline_descriptor, compute.next, WGPUComputePipelineDescriptor, compute.nextInChain)
FIELD(abi_pipeline_descriptor, compute.module, WGPUComputePipelineDescriptor, compute.module)
FIELD(abi_pipeline_descriptor, compute.entry, WGPUComputePipelineDescriptor, compute.entryPoint)
FIELD(abi_pipeline_descriptor, compute.constant_count, WGPUComputePipelineDescriptor, compute.constantCount)
FIELD(abi_pipeline_descriptor, compute.constants, WGPUComputePipelineDescriptor, compute.constants)
SAME(abi_group_entry, WGPUBindGroupEntry)
FIELD(abi_group_entry, next, WGPUBindGroupEntry, nextInChain)
FIELD(abi_group_entry, binding, WGPUBindGroupEntry, binding)
FIELD(abi_group_entry, buffer, WGPUBindGroupEntry, buffer)
FIELD(abi_group_entry, offset, WGPUBindGroupEntry, offset)
FIELD(abi_group_entry, size, WGPUBindGroupEntry, size)
FIELD(abi_group_entry, sampler, WGPUBindGroupEntry, sampler)
FIELD(abi_group_entry, view, WGPUBindGroupEntry, textureView)
SAME(abi_group_descriptor, WGPUBindGroupDescriptor)
FIELD(abi_group_descriptor, next, WGPUBindGroupDescriptor, nextInChain)
FIELD(abi_group_descriptor, label, WGPUBindGroupDescriptor, label)
FIELD(abi_group_descriptor, layout, WGPUBindGroupDescriptor, layout)
FIELD(abi_group_descriptor, n, WGPUBindGroupDescriptor, entryCount)
FIELD(abi_group_descriptor, entries, WGPUBindGroupDescriptor, entries)
SAME(abi_encoder_descriptor, WGPUCommandEncoderDescriptor)
FIELD(abi_encoder_descriptor, next, WGPUCommandEncoderDescriptor, nextInChain)
FIELD(abi_encoder_descriptor, label, WGPUCommandEncoderDescriptor, label)
SAME(abi_commands_descriptor, WGPUCommandBufferDescriptor)
FIELD(abi_commands_descriptor, next, WGPUCommandBufferDescriptor, nextInChain)
FIELD(abi_commands_descriptor, label, WGPUCommandBufferDescriptor, label)
SAME(abi_timestamp_writes, WGPUComputePassTimestampWrites)
FIELD(abi_timestamp_writes, queries, WGPUComputePassTimestampWrites, querySet)
FIELD(abi_timestamp_writes, begin, WGPUComputePassTimestampWrites, beginningOfPassWriteIndex)
FIELD(abi_timestamp_writes, end, WGPUComputePassTimestampWrites, endOfPassWriteIndex)
SAME(abi_pass_descriptor, WGPUComputePassDescriptor)
FIELD(abi_pass_descriptor, next, WGPUComputePassDescriptor, nextInChain)
FIELD(abi_pass_descriptor, label, WGPUComputePassDescriptor, label)
FIELD(abi_pass_descriptor, writes, WGPUComputePassDescriptor, timestampWrites)
SAME(abi_queries_descriptor, WGPUQuerySetDescriptor)
FIELD(abi_queries_descriptor, next, WGPUQuerySetDescriptor, nextInChain)
FIELD(abi_queries_descriptor, label, WGPUQuerySetDescriptor, label)
FIELD(abi_queries_descriptor, type, WGPUQuerySetDescriptor, type)
FIELD(abi_queries_descriptor, count, WGPUQuerySetDescriptor, count)

VALUE(STYPE_WGSL, WGPUSType_ShaderModuleWGSLDescriptor)
VALUE(STYPE_INSTANCE_EXTRAS, WGPUSType_InstanceExtras)
VALUE(BACKEND_VULKAN, WGPUInstanceBackend_Vulkan)
VALUE(BACKEND_METAL, WGPUInstanceBackend_Metal)
VALUE(BACKEND_DX12, WGPUInstanceBackend_DX12)
VALUE(FEATURE_TIMESTAMP_QUERY, WGPUFeatureName_TimestampQuery)
VALUE(QUERY_TIMESTAMP, WGPUQueryType_Timestamp)
VALUE(STAGE_COMPUTE, WGPUShaderStage_Compute)
VALUE(MAP_READ, WGPUMapMode_Read)
VALUE(MAP_WRITE, WGPUMapMode_Write)
VALUE(MAP_WRITE, WGPUBufferUsage_MapWrite)
VALUE(COPY_SRC, WGPUBufferUsage_CopySrc)
VALUE(LW_OK, WGPUErrorType_NoError)
VALUE(LW_VALIDATION, WGPUErrorType_Validation)
VALUE(LW_OUT_OF_MEMORY, WGPUErrorType_OutOfMemory)
VALUE(LW_INTERNAL, WGPUErrorType_Internal)
VALUE(LW_UNKNOWN, WGPUErrorType_Unknown)
VALUE(LW_LOST, WGPUErrorType_DeviceLost)
VALUE(0, WGPURequestDeviceStatus_Success)
VALUE(0, WGPUBufferMapAsyncStatus_Success)
VALUE(0, WGPUQueueWorkDoneStatus_Success)

// From here on, our names are theirs: the functions must be declared alike.
#define abi_instance WGPUInstance
#define abi_adapter WGPUAdapter
#define abi_device WGPUDevice
#define abi_queue WGPUQueue
#define abi_buffer WGPUBuffer
#define abi_module WGPUShaderModule
#define abi_layout WGPUBindGroupLayout
#define abi_pipeline_layout WGPUPipelineLayout
#define abi_pipeline WGPUComputePipeline
#define abi_group WGPUBindGroup
#define abi_encoder WGPUCommandEncoder
#define abi_pass WGPUComputePassEncoder
#define abi_commands WGPUCommandBuffer
#define abi_queries WGPUQuerySet
#define abi_submission WGPUWrappedSubmissionIndex
#define abi_device_callback WGPUAdapterRequestDeviceCallback
#define abi_map_callback WGPUBufferMapAsyncCallback
#define abi_done_callback WGPUQueueOnSubmittedWorkDoneCallback
#define abi_instance_descriptor WGPUInstanceDescriptor
#define abi_enumerate_options WGPUInstanceEnumerateAdapterOptions
#define abi_adapter_info WGPUAdapterInfo
#define abi_chained_limits WGPUSupportedLimits
#define abi_device_descriptor WGPUDeviceDescriptor
#define abi_buffer_descriptor WGPUBufferDescriptor
#define abi_module_descriptor WGPUShaderModuleDescriptor
#define abi_layout_descriptor WGPUBindGroupLayoutDescriptor
#define abi_pipeline_layout_descriptor WGPUPipelineLayoutDescriptor
#define abi_pipeline_descriptor WGPUComputePipelineDescriptor
#define abi_group_descriptor WGPUBindGroupDescriptor
#define abi_encoder_descriptor WGPUCommandEncoderDescriptor
#define abi_commands_descriptor WGPUCommandBufferDescriptor
#define abi_pass_descriptor WGPUComputePassDescriptor
#define abi_queries_descriptor WGPUQuerySetDescriptor

#include "native_functions.h"
