//go:build cgo && !js

// The C half of the native backend. wgpu-native's library is linked by the package wgpu.

#include "native.h"
#include "native_types.h"
#include "native_functions.h"

#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <time.h>
#endif

struct lw_device {
	void *device, *queue;
	char lock; // guards what follows: callbacks may come on any thread that polls
	int error, lost;
	char *error_message, *lost_message;
};

static void *ptr(uintptr_t h) { return (void *)h; }

static char *copy_string(const char *s) {
	if (s == NULL) s = "";
	char *c = malloc(strlen(s) + 1);
	if (c != NULL) strcpy(c, s);
	return c;
}

static void lock(lw_device *d) {
	while (__atomic_test_and_set(&d->lock, __ATOMIC_ACQUIRE)) {
	}
}

static void unlock(lw_device *d) { __atomic_clear(&d->lock, __ATOMIC_RELEASE); }

// Receives the errors of this thread in place of the device, while it compiles or cancels: the library
// reports an error on the thread whose call caused it, before that call returns.
static __thread lw_compiled *compiling;

// on_error keeps the first error: those after it tend to be its consequences.
static void on_error(uint32_t type, const char *message, void *user) {
	lw_device *d = user;
	if (type == LW_OK) return;
	if (compiling != NULL) {
		if (compiling->error == LW_OK) {
			compiling->error = type;
			compiling->message = copy_string(message);
		}
		return;
	}
	lock(d);
	if (d->error == LW_OK) {
		d->error = type;
		d->error_message = copy_string(message);
	}
	unlock(d);
}

static void on_lost(uint32_t reason, const char *message, void *user) {
	lw_device *d = user;
	(void)reason;
	lock(d);
	if (!d->lost) {
		d->lost = 1;
		d->lost_message = copy_string(message);
	}
	unlock(d);
}

int lw_error(lw_device *d, char **message) {
	lock(d);
	int e = d->error;
	*message = d->error_message;
	d->error = LW_OK;
	d->error_message = NULL;
	unlock(d);
	return e;
}

int lw_lost(lw_device *d, char **message) {
	lock(d);
	int lost = d->lost;
	*message = lost ? copy_string(d->lost_message) : NULL;
	unlock(d);
	return lost;
}

static int failed(lw_device *d) {
	lock(d);
	int e = d->error;
	unlock(d);
	return e != LW_OK;
}

// Without OpenGL: creating an instance with it aborts where libEGL has no vendor driver, and
// its compute shaders are not worth supporting.
enum { BACKENDS = BACKEND_VULKAN | BACKEND_METAL | BACKEND_DX12 };

uintptr_t lw_instance(void) {
	abi_instance_extras extras = {.chain = {NULL, STYPE_INSTANCE_EXTRAS}, .backends = BACKENDS};
	abi_instance_descriptor desc = {&extras};
	return (uintptr_t)wgpuCreateInstance(&desc);
}

void lw_instance_release(uintptr_t instance) { wgpuInstanceRelease(ptr(instance)); }

size_t lw_adapters(uintptr_t instance, uintptr_t *out, size_t n) {
	abi_enumerate_options options = {NULL, BACKENDS};
	size_t have = wgpuInstanceEnumerateAdapters(ptr(instance), &options, NULL);
	if (out == NULL || have == 0 || have > n) return have;
	return wgpuInstanceEnumerateAdapters(ptr(instance), &options, (void **)out);
}

static void fill(char *dst, size_t n, const char *src) {
	strncpy(dst, src == NULL ? "" : src, n - 1);
	dst[n - 1] = 0;
}

void lw_adapter_describe(uintptr_t adapter, lw_adapter_info *out) {
	abi_adapter_info info;
	memset(&info, 0, sizeof info);
	wgpuAdapterGetInfo(ptr(adapter), &info);
	memset(out, 0, sizeof *out);
	fill(out->name, sizeof out->name, info.description); // info.device is a number
	out->backend = info.backend;
	out->type = info.type;
	out->vendor = info.vendor_id;
	out->device = info.device_id;
	wgpuAdapterInfoFreeMembers(info);
	out->timestamps = wgpuAdapterHasFeature(ptr(adapter), FEATURE_TIMESTAMP_QUERY) != 0;
	abi_chained_limits l;
	memset(&l, 0, sizeof l);
	wgpuAdapterGetLimits(ptr(adapter), &l);
	out->max_buffer = l.limits.max_buffer_size;
	out->max_storage = l.limits.max_storage_binding;
	out->max_uniform = l.limits.max_uniform_binding;
	out->max_workgroup_bytes = l.limits.max_workgroup_bytes;
	out->max_invocations = l.limits.max_invocations;
	out->max_size[0] = l.limits.max_size_x;
	out->max_size[1] = l.limits.max_size_y;
	out->max_size[2] = l.limits.max_size_z;
	out->max_workgroups = l.limits.max_workgroups;
	out->max_storage_buffers = l.limits.max_storage_buffers;
	out->max_uniform_buffers = l.limits.max_uniform_buffers;
}

void lw_adapter_release(uintptr_t adapter) { wgpuAdapterRelease(ptr(adapter)); }

typedef struct { void *device; char *message; } request;

static void on_device(uint32_t status, void *device, const char *message, void *user) {
	request *r = user;
	if (status == 0) {
		r->device = device;
	} else {
		r->message = copy_string(message);
	}
}

// known keeps "no limit", all bits set, from being read as "the default".
static uint64_t known(uint64_t limit) { return limit == UINT64_MAX ? limit - 1 : limit; }

lw_device *lw_open(uintptr_t adapter, const lw_adapter_info *info, char **message) {
	lw_device *d = calloc(1, sizeof *d);
	if (d == NULL) return NULL;
	abi_chained_limits want;
	memset(&want, 0xff, sizeof want); // all bits set: the default
	want.next = NULL;
	want.limits.max_buffer_size = known(info->max_buffer);
	want.limits.max_storage_binding = info->max_storage;
	want.limits.max_uniform_binding = info->max_uniform;
	want.limits.max_workgroup_bytes = info->max_workgroup_bytes;
	want.limits.max_invocations = info->max_invocations;
	want.limits.max_size_x = info->max_size[0];
	want.limits.max_size_y = info->max_size[1];
	want.limits.max_size_z = info->max_size[2];
	want.limits.max_workgroups = info->max_workgroups;
	want.limits.max_storage_buffers = info->max_storage_buffers;
	want.limits.max_uniform_buffers = info->max_uniform_buffers;
	const uint32_t features[] = {FEATURE_TIMESTAMP_QUERY};
	abi_device_descriptor desc;
	memset(&desc, 0, sizeof desc);
	desc.feature_count = info->timestamps;
	desc.features = features;
	desc.limits = &want;
	desc.lost = on_lost;
	desc.lost_user = d;
	desc.uncaptured.callback = on_error;
	desc.uncaptured.user = d;
	request r = {NULL, NULL};
	wgpuAdapterRequestDevice(ptr(adapter), &desc, on_device, &r);
	if (r.device == NULL) {
		*message = r.message;
		free(d);
		return NULL;
	}
	d->device = r.device;
	d->queue = wgpuDeviceGetQueue(r.device);
	return d;
}

void lw_close(lw_device *d) {
	wgpuQueueRelease(d->queue);
	wgpuDeviceRelease(d->device);
	free(d->error_message);
	free(d->lost_message);
	free(d);
}

uintptr_t lw_buffer(lw_device *d, const char *label, uint64_t size, uint32_t usage) {
	abi_buffer_descriptor desc = {NULL, label, usage, size, 0};
	return (uintptr_t)wgpuDeviceCreateBuffer(d->device, &desc);
}

void lw_buffer_free(uintptr_t buffer) {
	wgpuBufferDestroy(ptr(buffer));
	wgpuBufferRelease(ptr(buffer));
}

uintptr_t lw_stage(lw_device *d, const char *label, uint64_t size) {
	abi_buffer_descriptor desc = {NULL, label, MAP_WRITE | COPY_SRC, size, 1};
	return (uintptr_t)wgpuDeviceCreateBuffer(d->device, &desc);
}

void *lw_stage_memory(uintptr_t stage, uint64_t size) { return wgpuBufferGetMappedRange(ptr(stage), 0, size); }

void lw_write(lw_device *d, uintptr_t buffer, uint64_t offset, const void *data, size_t size) {
	wgpuQueueWriteBuffer(d->queue, ptr(buffer), offset, data, size);
}

static void *make_module(lw_device *d, const char *label, const char *code) {
	abi_wgsl_descriptor wgsl = {{NULL, STYPE_WGSL}, code};
	abi_module_descriptor desc = {&wgsl, label, 0, NULL};
	return wgpuDeviceCreateShaderModule(d->device, &desc);
}

static void *make_layout(lw_device *d, const char *label, const uint32_t *types, size_t n) {
	abi_layout_entry *e = calloc(n + 1, sizeof *e);
	if (e == NULL) return NULL;
	for (size_t i = 0; i < n; i++) {
		e[i].binding = i;
		e[i].visibility = STAGE_COMPUTE;
		e[i].buffer.type = types[i];
	}
	abi_layout_descriptor desc = {NULL, label, n, e};
	void *layout = wgpuDeviceCreateBindGroupLayout(d->device, &desc);
	free(e);
	return layout;
}

static void *make_pipeline(lw_device *d, const char *label, void *module, const char *entry, void *layout) {
	abi_pipeline_layout_descriptor ldesc = {NULL, label, 1, &layout};
	void *pl = wgpuDeviceCreatePipelineLayout(d->device, &ldesc);
	void *p = NULL;
	if (pl != NULL && compiling->error == LW_OK) {
		abi_pipeline_descriptor desc;
		memset(&desc, 0, sizeof desc);
		desc.label = label;
		desc.layout = pl;
		desc.compute.module = module;
		desc.compute.entry = entry;
		p = wgpuDeviceCreateComputePipeline(d->device, &desc);
	}
	if (pl != NULL) wgpuPipelineLayoutRelease(pl);
	return p;
}

lw_compiled lw_compile(lw_device *d, const char *label, const char *code, const char *entry, const uint32_t *types, size_t n) {
	lw_compiled c = {0, 0, LW_OK, NULL};
	compiling = &c;
	void *layout = NULL, *pipeline = NULL, *module = make_module(d, label, code);
	if (module != NULL && c.error == LW_OK) layout = make_layout(d, label, types, n);
	if (layout != NULL && c.error == LW_OK) pipeline = make_pipeline(d, label, module, entry, layout);
	if (pipeline != NULL && c.error == LW_OK) {
		c.pipeline = (uintptr_t)pipeline;
		c.layout = (uintptr_t)layout;
	} else {
		if (pipeline != NULL) wgpuComputePipelineRelease(pipeline);
		if (layout != NULL) wgpuBindGroupLayoutRelease(layout);
	}
	if (module != NULL) wgpuShaderModuleRelease(module);
	compiling = NULL;
	return c;
}

void lw_layout_free(uintptr_t layout) { wgpuBindGroupLayoutRelease(ptr(layout)); }

void lw_pipeline_free(uintptr_t pipeline) { wgpuComputePipelineRelease(ptr(pipeline)); }

uintptr_t lw_group(lw_device *d, const char *label, uintptr_t layout, const lw_entry *entries, size_t n) {
	abi_group_entry *e = calloc(n + 1, sizeof *e);
	if (e == NULL) return 0;
	for (size_t i = 0; i < n; i++) {
		e[i].binding = i;
		e[i].buffer = ptr(entries[i].buffer);
		e[i].offset = entries[i].offset;
		e[i].size = entries[i].size;
	}
	abi_group_descriptor desc = {NULL, label, ptr(layout), n, e};
	void *g = wgpuDeviceCreateBindGroup(d->device, &desc);
	free(e);
	return (uintptr_t)g;
}

void lw_group_free(uintptr_t group) { wgpuBindGroupRelease(ptr(group)); }

uintptr_t lw_encoder(lw_device *d) {
	abi_encoder_descriptor desc = {NULL, NULL};
	return (uintptr_t)wgpuDeviceCreateCommandEncoder(d->device, &desc);
}

static void end(void *pass) {
	if (pass == NULL) return;
	wgpuComputePassEncoderEnd(pass);
	wgpuComputePassEncoderRelease(pass);
}

static void *begin(void *encoder, const abi_timestamp_writes *w) {
	abi_pass_descriptor desc = {NULL, NULL, w};
	return wgpuCommandEncoderBeginComputePass(encoder, &desc);
}

static void copy(void *encoder, const lw_step *s) {
	wgpuCommandEncoderCopyBufferToBuffer(encoder, ptr(s->src), s->src_off, ptr(s->dst), s->dst_off, s->size);
}

uintptr_t lw_encode(uintptr_t encoder, uintptr_t open, const lw_step *s, size_t n) {
	void *pass = ptr(open);
	uintptr_t pipeline = 0;
	for (; n > 0; n--, s++) {
		if (s->pipeline == 0) {
			end(pass);
			pass = NULL;
			copy(ptr(encoder), s);
			continue;
		}
		if (pass == NULL) {
			pass = begin(ptr(encoder), NULL);
			pipeline = 0;
		}
		if (s->pipeline != pipeline) {
			pipeline = s->pipeline;
			wgpuComputePassEncoderSetPipeline(pass, ptr(pipeline));
		}
		wgpuComputePassEncoderSetBindGroup(pass, 0, ptr(s->group), 0, NULL);
		wgpuComputePassEncoderDispatchWorkgroups(pass, s->x, s->y, s->z);
	}
	return (uintptr_t)pass;
}

void lw_encode_timed(uintptr_t encoder, const lw_step *s, size_t n, uintptr_t queries, uintptr_t buffer) {
	abi_timestamp_writes w = {ptr(queries), 0, 1};
	for (; n > 0; n--, s++) {
		if (s->pipeline == 0) {
			copy(ptr(encoder), s);
			continue;
		}
		void *pass = begin(ptr(encoder), &w);
		wgpuComputePassEncoderSetPipeline(pass, ptr(s->pipeline));
		wgpuComputePassEncoderSetBindGroup(pass, 0, ptr(s->group), 0, NULL);
		wgpuComputePassEncoderDispatchWorkgroups(pass, s->x, s->y, s->z);
		end(pass);
		w.begin += 2;
		w.end += 2;
	}
	if (w.begin > 0) wgpuCommandEncoderResolveQuerySet(ptr(encoder), ptr(queries), 0, w.begin, ptr(buffer), 0);
}

void lw_encode_stamp(uintptr_t encoder, uintptr_t queries, uintptr_t buffer) {
	abi_timestamp_writes w = {ptr(queries), 0, 1};
	end(begin(ptr(encoder), &w));
	wgpuCommandEncoderResolveQuerySet(ptr(encoder), ptr(queries), 0, 2, ptr(buffer), 0);
}

void lw_encode_copy(uintptr_t encoder, uintptr_t src, uint64_t off, uintptr_t dst, uint64_t size) {
	wgpuCommandEncoderCopyBufferToBuffer(ptr(encoder), ptr(src), off, ptr(dst), 0, size);
}

uintptr_t lw_finish(lw_device *d, uintptr_t encoder, uintptr_t pass) {
	end(ptr(pass));
	abi_commands_descriptor desc = {NULL, NULL};
	// An encoder with an error still finishes to a command buffer; submitting that aborts.
	void *cb = wgpuCommandEncoderFinish(ptr(encoder), &desc);
	wgpuCommandEncoderRelease(ptr(encoder));
	if (cb != NULL && failed(d)) {
		wgpuCommandBufferRelease(cb);
		return 0;
	}
	return (uintptr_t)cb;
}

void lw_send(lw_device *d, uintptr_t commands) {
	void *cb = ptr(commands);
	wgpuQueueSubmit(d->queue, 1, &cb);
	wgpuCommandBufferRelease(cb);
}

void lw_drop(uintptr_t commands) {
	if (commands != 0) wgpuCommandBufferRelease(ptr(commands));
}

void lw_submit(lw_device *d, uintptr_t encoder, uintptr_t pass) {
	uintptr_t commands = lw_finish(d, encoder, pass);
	if (commands != 0) lw_send(d, commands);
}

void lw_flush(lw_device *d) { wgpuQueueSubmit(d->queue, 0, NULL); }

uintptr_t lw_queries(lw_device *d, uint32_t n) {
	abi_queries_descriptor desc = {NULL, NULL, QUERY_TIMESTAMP, n};
	return (uintptr_t)wgpuDeviceCreateQuerySet(d->device, &desc);
}

void lw_queries_free(uintptr_t queries) { wgpuQuerySetRelease(ptr(queries)); }

static void on_flag(uint32_t status, void *user) {
	lw_flag *f = user;
	f->status = status;
	__atomic_store_n(&f->raised, 1, __ATOMIC_RELEASE);
	lw_flag_drop(f);
}

static lw_flag *new_flag(void) {
	lw_flag *f = calloc(1, sizeof *f);
	if (f != NULL) f->owners = 2;
	return f;
}

void lw_flag_drop(lw_flag *f) {
	if (f != NULL && __atomic_sub_fetch(&f->owners, 1, __ATOMIC_ACQ_REL) == 0) free(f);
}

lw_flag *lw_on_done(lw_device *d) {
	lw_flag *f = new_flag();
	if (f != NULL) wgpuQueueOnSubmittedWorkDone(d->queue, on_flag, f);
	return f;
}

static lw_flag *map(uintptr_t buffer, uint32_t mode, uint64_t size) {
	lw_flag *f = new_flag();
	if (f != NULL) wgpuBufferMapAsync(ptr(buffer), mode, 0, size, on_flag, f);
	return f;
}

lw_flag *lw_map(uintptr_t buffer, uint64_t size) { return map(buffer, MAP_READ, size); }

lw_flag *lw_stage_map(uintptr_t stage, uint64_t size) { return map(stage, MAP_WRITE, size); }

static uint64_t now(void) { // microseconds
#ifdef _WIN32
	LARGE_INTEGER t, f;
	QueryPerformanceCounter(&t);
	QueryPerformanceFrequency(&f);
	return t.QuadPart / f.QuadPart * 1000000 + t.QuadPart % f.QuadPart * 1000000 / f.QuadPart;
#else
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
#endif
}

static void nap(uint64_t microseconds) {
#ifdef _WIN32
	Sleep(microseconds / 1000); // 0 yields to another thread
#else
	struct timespec t = {0, (long)microseconds * 1000};
	nanosleep(&t, NULL);
#endif
}

// Polling never asks wgpu to wait: its wait gives up after five seconds and then reports
// unfinished work as done.
int lw_poll(lw_device *d, lw_flag *f, uint64_t microseconds, uint64_t spin) {
	uint64_t start = now();
	for (;;) {
		wgpuDevicePoll(d->device, 0, NULL);
		if (__atomic_load_n(&f->raised, __ATOMIC_ACQUIRE)) return 1;
		uint64_t waited = now() - start;
		if (waited >= microseconds) return 0;
		if (waited < spin) continue;
		uint64_t t = 10 + waited / 16; // a nap costs at most a sixteenth of the wait
		nap(t < 500 ? t : 500);
	}
}

int lw_mapped(uintptr_t buffer, uint64_t skip, void *dst, size_t n, uint64_t size) {
	const char *p = wgpuBufferGetConstMappedRange(ptr(buffer), 0, size);
	if (p == NULL) return 0;
	memcpy(dst, p + skip, n);
	return 1;
}

void lw_unmap(uintptr_t buffer) { wgpuBufferUnmap(ptr(buffer)); }

// A thread that polls makes a pending mapping an active one, and in between the buffer is neither pending nor mapped: unmapping
// it then is an error that changes nothing. That thread raises the flag soon. Without a flag, or if mapping has failed,
// there is nothing to unmap.
void lw_cancel(lw_device *d, uintptr_t buffer, lw_flag *f) {
	lw_compiled met = {0, 0, LW_OK, NULL};
	compiling = &met;
	wgpuBufferUnmap(ptr(buffer));
	if (met.error != LW_OK && f != NULL) {
		for (int i = 0; i < 10000 && !__atomic_load_n(&f->raised, __ATOMIC_ACQUIRE); i++) nap(100); // a device that is lost may never raise it
		wgpuBufferUnmap(ptr(buffer));
	}
	compiling = NULL;
	free(met.message);
}
