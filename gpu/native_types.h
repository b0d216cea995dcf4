// The types of wgpu-native's webgpu.h and wgpu.h that native.c needs. These headers are in the module that
// links the library, and another module cannot include them. TestABI compiles this file beside them and compares sizes, fields
// and values; the sizes are checked in every build.
#ifndef LW_NATIVE_TYPES_H
#define LW_NATIVE_TYPES_H

#include <stddef.h>
#include <stdint.h>

// Objects.
typedef void *abi_instance, *abi_adapter, *abi_device, *abi_queue, *abi_buffer, *abi_module, *abi_layout, *abi_pipeline_layout;
typedef void abi_submission; // never given
typedef void *abi_pipeline, *abi_group, *abi_encoder, *abi_pass, *abi_commands, *abi_queries;

typedef void (*abi_error_callback)(uint32_t type, const char *message, void *user);
typedef void (*abi_lost_callback)(uint32_t reason, const char *message, void *user);
typedef void (*abi_device_callback)(uint32_t status, abi_device device, const char *message, void *user);
typedef void (*abi_map_callback)(uint32_t status, void *user);
typedef void (*abi_done_callback)(uint32_t status, void *user);

enum { STYPE_WGSL = 6, STYPE_INSTANCE_EXTRAS = 0x00030006 };
enum { BACKEND_VULKAN = 1, BACKEND_METAL = 4, BACKEND_DX12 = 8 };
enum { FEATURE_TIMESTAMP_QUERY = 3, QUERY_TIMESTAMP = 1, STAGE_COMPUTE = 4, MAP_READ = 1, MAP_WRITE = 2, COPY_SRC = 4 };

typedef struct {
	const void *next;
	uint32_t type;
} abi_chain;
typedef struct {
	abi_chain chain;
	uint32_t backends, flags, dx12_compiler, gles3_minor;
	const char *dxil_path, *dxc_path;
} abi_instance_extras;
typedef struct {
	const void *next;
} abi_instance_descriptor;
typedef struct {
	const void *next;
	uint32_t backends;
} abi_enumerate_options;
typedef struct {
	void *next;
	const char *vendor, *architecture, *device, *description;
	uint32_t backend, type, vendor_id, device_id;
} abi_adapter_info;
typedef struct {
	uint32_t max_texture_1d, max_texture_2d, max_texture_3d, max_texture_layers;
	uint32_t max_bind_groups, max_bind_groups_plus_vertex_buffers, max_bindings_per_group;
	uint32_t max_dynamic_uniforms, max_dynamic_storages;
	uint32_t max_sampled_textures, max_samplers, max_storage_buffers, max_storage_textures, max_uniform_buffers;
	uint64_t max_uniform_binding, max_storage_binding;
	uint32_t min_uniform_align, min_storage_align;
	uint32_t max_vertex_buffers;
	uint64_t max_buffer_size;
	uint32_t max_vertex_attributes, max_vertex_stride, max_inter_stage_components, max_inter_stage_variables;
	uint32_t max_color_attachments, max_color_bytes;
	uint32_t max_workgroup_bytes, max_invocations, max_size_x, max_size_y, max_size_z, max_workgroups;
} abi_limits;
typedef struct {
	void *next;
	abi_limits limits;
} abi_chained_limits;
typedef struct {
	const void *next;
	const char *label;
	size_t feature_count;
	const uint32_t *features;
	const abi_chained_limits *limits;
	struct {
		const void *next;
		const char *label;
	} queue;
	abi_lost_callback lost;
	void *lost_user;
	struct {
		const void *next;
		abi_error_callback callback;
		void *user;
	} uncaptured;
} abi_device_descriptor;
typedef struct {
	const void *next;
	const char *label;
	uint32_t usage;
	uint64_t size;
	uint32_t mapped;
} abi_buffer_descriptor;
typedef struct {
	abi_chain chain;
	const char *code;
} abi_wgsl_descriptor;
typedef struct {
	const void *next;
	const char *label;
	size_t hint_count;
	const void *hints;
} abi_module_descriptor;
typedef struct {
	const void *next;
	uint32_t binding, visibility;
	struct {
		const void *next;
		uint32_t type, dynamic;
		uint64_t min_size;
	} buffer;
	struct {
		const void *next;
		uint32_t type;
	} sampler;
	struct {
		const void *next;
		uint32_t sample_type, dimension, multisampled;
	} texture;
	struct {
		const void *next;
		uint32_t access, format, dimension;
	} storage_texture;
} abi_layout_entry;
typedef struct {
	const void *next;
	const char *label;
	size_t n;
	const abi_layout_entry *entries;
} abi_layout_descriptor;
typedef struct {
	const void *next;
	const char *label;
	size_t n;
	const abi_layout *layouts;
} abi_pipeline_layout_descriptor;
typedef struct {
	const void *next;
	const char *label;
	abi_pipeline_layout layout;
	struct {
		const void *next;
		abi_module module;
		const char *entry;
		size_t constant_count;
		const void *constants;
	} compute;
} abi_pipeline_descriptor;
typedef struct {
	const void *next;
	uint32_t binding;
	abi_buffer buffer;
	uint64_t offset, size;
	void *sampler, *view;
} abi_group_entry;
typedef struct {
	const void *next;
	const char *label;
	abi_layout layout;
	size_t n;
	const abi_group_entry *entries;
} abi_group_descriptor;
typedef struct {
	const void *next;
	const char *label;
} abi_encoder_descriptor, abi_commands_descriptor;
typedef struct {
	abi_queries queries;
	uint32_t begin, end;
} abi_timestamp_writes;
typedef struct {
	const void *next;
	const char *label;
	const abi_timestamp_writes *writes;
} abi_pass_descriptor;
typedef struct {
	const void *next;
	const char *label;
	uint32_t type, count;
} abi_queries_descriptor;

#if UINTPTR_MAX > UINT32_MAX
#define ABI_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has another size than in webgpu.h")
ABI_SIZE(abi_chain, 16);
ABI_SIZE(abi_instance_extras, 48);
ABI_SIZE(abi_instance_descriptor, 8);
ABI_SIZE(abi_enumerate_options, 16);
ABI_SIZE(abi_adapter_info, 56);
ABI_SIZE(abi_limits, 144);
ABI_SIZE(abi_chained_limits, 152);
ABI_SIZE(abi_device_descriptor, 96);
ABI_SIZE(abi_buffer_descriptor, 40);
ABI_SIZE(abi_wgsl_descriptor, 24);
ABI_SIZE(abi_module_descriptor, 32);
ABI_SIZE(abi_layout_entry, 104);
ABI_SIZE(abi_layout_descriptor, 32);
ABI_SIZE(abi_pipeline_layout_descriptor, 32);
ABI_SIZE(abi_pipeline_descriptor, 64);
ABI_SIZE(abi_group_entry, 56);
ABI_SIZE(abi_group_descriptor, 40);
ABI_SIZE(abi_encoder_descriptor, 16);
ABI_SIZE(abi_commands_descriptor, 16);
ABI_SIZE(abi_timestamp_writes, 16);
ABI_SIZE(abi_pass_descriptor, 24);
ABI_SIZE(abi_queries_descriptor, 24);
#undef ABI_SIZE
#endif

#endif
