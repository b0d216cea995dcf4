// The interface between native.go and wgpu-native. Every object is a uintptr_t, so that Go may keep it in
// garbage-collected memory; all state that callbacks write is malloc'ed here,
// never Go's.
#ifndef LW_NATIVE_H
#define LW_NATIVE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
	char name[256];
	uint32_t backend, type, vendor, device; // as in webgpu.h
	uint32_t timestamps;                    // 1: the feature is there
	uint64_t max_buffer, max_storage, max_uniform;
	uint32_t max_workgroup_bytes, max_invocations, max_size[3], max_workgroups;
	uint32_t max_storage_buffers, max_uniform_buffers;
} lw_adapter_info;

typedef struct lw_device lw_device;

// The kinds of error, as in webgpu.h.
enum { LW_OK = 0, LW_VALIDATION = 1, LW_OUT_OF_MEMORY = 2, LW_INTERNAL = 3, LW_UNKNOWN = 4, LW_LOST = 5 };

// Same layout as Go's step.
typedef struct {
	uintptr_t pipeline, group;
	uint32_t x, y, z, unused;
	uintptr_t src, dst;
	uint64_t src_off, dst_off, size;
} lw_step;

// Same layout as Go's entry.
typedef struct {
	uintptr_t buffer;
	uint64_t offset, size;
} lw_entry;

// A flag is raised by a callback. It has two owners: the callback and whoever waits.
typedef struct {
	int raised, owners;
	uint32_t status; // 0 is success
} lw_flag;

// There is one instance per device: wgpu confuses the queues of devices once devices
// of one instance have been closed in another order than they were opened.
uintptr_t lw_instance(void);
void lw_instance_release(uintptr_t instance);
size_t lw_adapters(uintptr_t instance, uintptr_t *out, size_t n);
void lw_adapter_describe(uintptr_t adapter, lw_adapter_info *out);
void lw_adapter_release(uintptr_t adapter);

// lw_open returns NULL and a message, to be freed, if the device cannot be opened.
lw_device *lw_open(uintptr_t adapter, const lw_adapter_info *info, char **message);
void lw_close(lw_device *d);
// lw_error takes the first error since it was last called; the message is to be freed.
int lw_error(lw_device *d, char **message);
int lw_lost(lw_device *d, char **message);

uintptr_t lw_buffer(lw_device *d, const char *label, uint64_t size, uint32_t usage);
void lw_buffer_free(uintptr_t buffer);
// lw_stage makes a buffer that is mapped to be written and can be copied from.
uintptr_t lw_stage(lw_device *d, const char *label, uint64_t size);
// lw_stage_memory returns the mapped memory, or NULL.
void *lw_stage_memory(uintptr_t stage, uint64_t size);
lw_flag *lw_stage_map(uintptr_t stage, uint64_t size);
void lw_write(lw_device *d, uintptr_t buffer, uint64_t offset, const void *data, size_t size);

typedef struct {
	uintptr_t pipeline, layout; // 0 unless both are there
	int error;                  // LW_OK, or the first error
	char *message;              // to be freed
} lw_compiled;

// lw_compile makes a pipeline and the layout of its bind group, of n bindings of the given types.
// Several threads may compile at once: each gets its own errors.
lw_compiled lw_compile(lw_device *d, const char *label, const char *code, const char *entry, const uint32_t *types, size_t n);
void lw_pipeline_free(uintptr_t pipeline);
void lw_layout_free(uintptr_t layout);

uintptr_t lw_group(lw_device *d, const char *label, uintptr_t layout, const lw_entry *e, size_t n);
void lw_group_free(uintptr_t group);

uintptr_t lw_encoder(lw_device *d);
// lw_encode records steps and returns the compute pass that is left open, or 0.
uintptr_t lw_encode(uintptr_t encoder, uintptr_t pass, const lw_step *s, size_t n);
// lw_encode_timed gives each dispatch its own pass and two queries, and resolves them to buffer.
void lw_encode_timed(uintptr_t encoder, const lw_step *s, size_t n, uintptr_t queries, uintptr_t buffer);
// lw_encode_stamp takes the time before and after an empty pass.
void lw_encode_stamp(uintptr_t encoder, uintptr_t queries, uintptr_t buffer);
void lw_encode_copy(uintptr_t encoder, uintptr_t src, uint64_t off, uintptr_t dst, uint64_t size);
// lw_submit ends the pass and submits, unless there was an error since lw_error was last called.
void lw_submit(lw_device *d, uintptr_t encoder, uintptr_t pass);
// lw_finish ends the pass and returns what lw_send submits or lw_drop frees; 0 after an error.
uintptr_t lw_finish(lw_device *d, uintptr_t encoder, uintptr_t pass);
void lw_send(lw_device *d, uintptr_t commands);
void lw_drop(uintptr_t commands);
// lw_flush submits pending writes.
void lw_flush(lw_device *d);
uintptr_t lw_queries(lw_device *d, uint32_t n);
void lw_queries_free(uintptr_t queries);

lw_flag *lw_on_done(lw_device *d);
lw_flag *lw_map(uintptr_t buffer, uint64_t size);
// lw_poll lets callbacks run until the flag is raised or about microseconds have passed; it does not sleep for
// the first spin of them.
int lw_poll(lw_device *d, lw_flag *f, uint64_t microseconds, uint64_t spin);
void lw_flag_drop(lw_flag *f);
// lw_mapped copies from a mapped buffer; it returns 0 if the buffer is not mapped.
int lw_mapped(uintptr_t buffer, uint64_t skip, void *dst, size_t n, uint64_t size);
void lw_unmap(uintptr_t buffer);
// lw_cancel unmaps a buffer whose mapping was asked for and may still be pending, whatever other threads do.
void lw_cancel(lw_device *d, uintptr_t buffer, lw_flag *f);

#endif
