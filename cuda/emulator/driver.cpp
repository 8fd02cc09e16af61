// A stand-in for NVIDIA's driver, for tests of the code that calls the driver. It is at least as strict as the real
// one.
//
// Kernels run on the emulator, immediately. A stream that captures records its calls. The environment variable STAND_IN
// makes the stand-in lack or refuse something. Errors of the caller are printed to stderr, after "stand-in: ".
//
// With STAND_IN=list no kernel runs. Launches are written to the file STAND_IN_LIST, a JSON object per line, in the
// form that sam2-predict reads. {"wait": true} is a wait of the host. Memory that was never written reads as zeros.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

extern "C" {
int sam2_emulator_kernel(const char*, int*, int*);
void* sam2_emulator_alloc(size_t);
void sam2_emulator_free(void*);
bool sam2_emulator_copy(uintptr_t, void*, size_t, int);
bool sam2_emulator_launch(int, const uint32_t*, uint32_t, size_t, const void*, uint64_t, char*, size_t);
}

namespace {

enum Result {
    OK = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    NO_BINARY = 209,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
};

using Work = std::function<int()>;
struct Stream {
    bool capturing = false;
    std::vector<Work> captured;
    // Whether the stream runs kernels, and whether it waits for work of another stream.
    bool computes = false, follows = false;
};
struct Function {
    std::string name;
    int index, args, threads, most_shared = 48 << 10;
    bool loaded = false;
};

bool is(const char* what) {
    const char* mode = getenv("STAND_IN");
    return mode && strcmp(mode, what) == 0;
}
bool listing() {
    static const bool on = is("list");
    return on;
}
int complain(int code, const char* what) {
    fprintf(stderr, "stand-in: %s\n", what);
    return code;
}

void append_hex(std::string& to, const void* bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char digits[3];
        snprintf(digits, 3, "%02x", static_cast<const unsigned char*>(bytes)[i]);
        to += digits;
    }
}

thread_local std::vector<int*> contexts;
thread_local int captures = 0;  // of this thread
int context;
int fault = OK;  // stays set, as in the real driver
int alive = 0;   // objects that were created and not yet destroyed
long launches = 0, replays = 0, ahead = 0, allocations = 0;
std::vector<Function*> functions;
std::set<Stream*> streams;
int other_context;  // the context of every stream that was not created here

#define ENTERED                                                       \
    if (contexts.empty()) return complain(INVALID_CONTEXT, __func__); \
    if (fault) return fault
#define NOT_WHILE_CAPTURING \
    if (captures) return complain(CAPTURE_UNSUPPORTED, "a call that must not be made while capturing")

}  // namespace

// Writes a line to the list.
__attribute__((visibility("default"))) void stand_in_list(const std::string& line) {
    static FILE* file = fopen(getenv("STAND_IN_LIST"), "w");
    if (!file) abort();
    fprintf(file, "%s\n", line.c_str());
    fflush(file);
}

// Runs work now, or records it. The stand-in for cuBLASLt uses this too.
__attribute__((visibility("default"))) int stand_in_enqueue(void* stream, Work work) {
    if (fault) return fault;
    Stream* s = static_cast<Stream*>(stream);
    if (s->capturing) return s->captured.push_back(std::move(work)), OK;
    return fault = work();
}

EXPORT int cuDriverGetVersion(int* v) { return *v = is("old driver") ? 12040 : 13000, OK; }
EXPORT int cuInit(unsigned) { return is("no device") ? NO_DEVICE : is("failing") ? 999 : OK; }
EXPORT int cuGetErrorName(int e, const char** s) {
    return *s = e == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS" : "CUDA_ERROR", OK;
}
EXPORT int cuGetErrorString(int e, const char** s) {
    return *s = e == ILLEGAL_ADDRESS ? "an illegal memory access was encountered" : "something failed", OK;
}
EXPORT int cuDeviceGetCount(int* n) { return *n = 1, OK; }
EXPORT int cuDeviceGet(int* d, int i) { return *d = i, i == 0 ? OK : 101; }
EXPORT int cuDeviceGetName(char* s, int n, int) { return snprintf(s, size_t(n), "Stand-in"), OK; }
EXPORT int cuDeviceGetUuid_v2(uint8_t* u, int) {
    for (int i = 0; i < 16; i++) u[i] = static_cast<uint8_t>(i * 17);
    return OK;
}
EXPORT int cuDeviceTotalMem_v2(size_t* n, int) { return *n = size_t(8) << 30, OK; }
enum { MOST_SHARED = 227 << 10 };
EXPORT int cuDeviceGetAttribute(int* v, int which, int) {
    *v = which == 75 ? (is("old card") ? 7 : is("new card") ? 13 : 9) : which == 76 ? 0 : which == 97 ? MOST_SHARED : 1;
    return OK;
}
EXPORT int cuDevicePrimaryCtxRetain(int** c, int) { return *c = &context, OK; }
EXPORT int cuDevicePrimaryCtxRelease_v2(int) {
    if (alive) fprintf(stderr, "stand-in: %d objects were never destroyed\n", alive);
    if (is("counts")) fprintf(stderr, "%ld launches, %ld replays, %ld copies ahead\n", launches, replays, ahead);
    return OK;
}
EXPORT int cuCtxPushCurrent_v2(int* c) { return contexts.push_back(c), OK; }
EXPORT int cuCtxPopCurrent_v2(int** c) {
    if (contexts.empty()) return complain(INVALID_CONTEXT, "nothing to pop");
    *c = contexts.back();
    contexts.pop_back();
    return OK;
}

EXPORT int cuModuleLoadData(int** m, const void* image) {
    ENTERED;
    uint32_t magic;
    memcpy(&magic, image, 4);
    if (magic != 0xba55ed50) return complain(INVALID_IMAGE, "not a fatbin");
    if (is("unknown card")) return NO_BINARY;
    return *m = new int(0), alive++, OK;
}
EXPORT int cuModuleUnload(int* m) {
    ENTERED;
    for (Function* f : functions) delete f;
    functions.clear();
    return delete m, alive--, OK;
}
EXPORT int cuModuleGetFunction(Function** f, int*, const char* name) {
    ENTERED;
    Function made;
    made.name = name;
    made.index = sam2_emulator_kernel(name, &made.args, &made.threads);
    if (made.index < 0) return complain(NOT_FOUND, name);
    functions.push_back(*f = new Function(made));
    return OK;
}
EXPORT int cuFuncGetAttribute(int* v, int which, Function*) { return *v = 0, which == 1 ? OK : INVALID_VALUE; }
EXPORT int cuFuncSetAttribute(Function* f, int which, int v) {
    ENTERED;
    if (which != 8 || v > MOST_SHARED) return complain(INVALID_VALUE, "an attribute of a function");
    return f->most_shared = v, OK;
}
EXPORT int cuFuncLoad(Function* f) {
    ENTERED;
    NOT_WHILE_CAPTURING;
    return f->loaded = true, OK;
}
// The line has the start of each operand, since its values may decide how long loops are.
static void list_launch(const std::string& name, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned shared,
                        const std::vector<uint64_t>& args, size_t size) {
    std::string line = "{\"kernel\": \"" + name + "\", \"grid\": [" + std::to_string(gx) + ", " + std::to_string(gy) +
                       ", " + std::to_string(gz) + "], \"block\": [" + std::to_string(bx) + ", 1, 1], \"shared\": " +
                       std::to_string(shared) + ", \"args\": \"";
    append_hex(line, args.data(), size);
    line += "\", \"memory\": [";
    bool first = true;
    for (uint64_t word : args) {
        char bytes[128];
        size_t known = 0;
        while (known < sizeof(bytes) && sam2_emulator_copy(word + known, bytes + known, 4, 1)) known += 4;
        if (!known) continue;
        line += (first ? "[" : ", [") + std::to_string(word) + ", \"";
        append_hex(line, bytes, known);
        line += "\"]";
        first = false;
    }
    stand_in_list(line + "]}");
}
EXPORT int cuLaunchKernel(Function* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned shared, Stream* stream, void** params, void** extra) {
    ENTERED;
    if (!f->loaded) return complain(INVALID_VALUE, "a launch of a function that is not loaded");
    if (int(bx) != f->threads || by != 1 || bz != 1 || int(shared) > f->most_shared || extra || !gx || !gy || !gz ||
        gy > 65535 || gz > 65535)
        return complain(INVALID_VALUE, "a launch that the card does not take");
    stream->computes = true;
    std::vector<uint64_t> args(size_t(f->args + 7) / 8);
    memcpy(args.data(), params[0], size_t(f->args));
    Work work = [=] {
        if (listing()) return list_launch(f->name, gx, gy, gz, bx, shared, args, size_t(f->args)), int(OK);
        char error[512] = "";
        uint32_t grid[3] = {gx, gy, gz};
        bool good = !is("faulty") && sam2_emulator_launch(f->index, grid, bx, shared, args.data(), 7, error, 512);
        if (*error) complain(0, error);
        return int(good ? OK : ILLEGAL_ADDRESS);
    };
    launches++;
    stand_in_enqueue(stream, work);
    return OK;  // a fault is reported later
}

EXPORT int cuMemAlloc_v2(uint64_t* p, size_t n) {
    ENTERED;
    NOT_WHILE_CAPTURING;
    if (n == 0) return INVALID_VALUE;
    const char* most = getenv("STAND_IN_ALLOCATIONS");
    if (most && ++allocations > atol(most)) return OUT_OF_MEMORY;
    return *p = reinterpret_cast<uint64_t>(sam2_emulator_alloc(n)), alive++, OK;
}
EXPORT int cuMemGetInfo_v2(size_t* free, size_t* all) {
    ENTERED;
    return *free = *all = size_t(8) << 30, OK;
}
EXPORT int cuMemFree_v2(uint64_t p) {
    ENTERED;
    NOT_WHILE_CAPTURING;
    return sam2_emulator_free(reinterpret_cast<void*>(p)), alive--, OK;
}
EXPORT int cuMemHostAlloc(void** p, size_t n, unsigned flags) {
    ENTERED;
    NOT_WHILE_CAPTURING;
    if (flags) return INVALID_VALUE;
    return *p = malloc(n), alive++, OK;
}
EXPORT int cuMemFreeHost(void* p) {
    ENTERED;
    return free(p), alive--, OK;
}
EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t n, Stream* s) {
    ENTERED;
    ahead += s->follows && !s->computes;
    return stand_in_enqueue(s, [=] {
        return sam2_emulator_copy(to, const_cast<void*>(from), n, 0) ? OK : complain(ILLEGAL_ADDRESS, "copy in");
    });
}
EXPORT int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t n, Stream* s) {
    ENTERED;
    return stand_in_enqueue(
        s, [=] {
            if (sam2_emulator_copy(from, to, n, 1)) return int(OK);
            return listing() ? memset(to, 0, n), int(OK) : complain(ILLEGAL_ADDRESS, "copy out");
        });
}

EXPORT int cuStreamCreate(Stream** s, unsigned) {
    ENTERED;
    return *s = new Stream, streams.insert(*s), alive++, OK;
}
EXPORT int cuStreamDestroy_v2(Stream* s) {
    ENTERED;
    return streams.erase(s), delete s, alive--, OK;
}
EXPORT int cuStreamSynchronize(Stream* s) {
    ENTERED;
    NOT_WHILE_CAPTURING;
    if (listing() && s->computes) stand_in_list("{\"wait\": true}");
    return OK;
}
EXPORT int cuStreamGetCtx(Stream* s, int** c) {
    return *c = streams.count(s) ? &context : &other_context, OK;
}
EXPORT int cuStreamIsCapturing(Stream* s, int* v) { return *v = s && s->capturing, OK; }
EXPORT int cuStreamBeginCapture_v2(Stream* s, int mode) {
    ENTERED;
    if (s->capturing || mode != 1) return complain(INVALID_VALUE, "a capture that is not of this thread alone");
    return s->capturing = true, captures++, OK;
}
EXPORT int cuStreamEndCapture(Stream* s, std::vector<Work>** graph) {
    ENTERED;
    if (!s->capturing) return complain(CAPTURE_INVALIDATED, "no capture to end");
    *graph = new std::vector<Work>(std::move(s->captured));
    s->captured.clear();
    return s->capturing = false, captures--, alive++, OK;
}
EXPORT int cuGraphInstantiateWithFlags(std::vector<Work>** exec, std::vector<Work>* graph, unsigned long long) {
    ENTERED;
    return *exec = new std::vector<Work>(*graph), alive++, OK;
}
EXPORT int cuGraphDestroy(std::vector<Work>* graph) { return delete graph, alive--, OK; }
EXPORT int cuGraphExecDestroy(std::vector<Work>* exec) {
    ENTERED;
    return delete exec, alive--, OK;
}
EXPORT int cuGraphLaunch(std::vector<Work>* exec, Stream* s) {
    ENTERED;
    replays++;
    for (const Work& work : *exec) stand_in_enqueue(s, work);
    return OK;
}

EXPORT int cuEventCreate(int** e, unsigned flags) {
    ENTERED;
    return *e = new int(flags == 0), alive++, OK;
}
EXPORT int cuEventRecord(int*, Stream*) { return contexts.empty() ? INVALID_CONTEXT : fault; }
EXPORT int cuStreamWaitEvent(Stream* s, int*, unsigned) {
    if (streams.count(s)) s->follows = true;
    return contexts.empty() ? INVALID_CONTEXT : fault;
}
EXPORT int cuEventElapsedTime_v2(float* ms, int* from, int* to) {
    if (!*from || !*to) return complain(INVALID_VALUE, "the time of an event without one");
    return *ms = 0.5f, OK;
}
EXPORT int cuEventDestroy_v2(int* e) {
    ENTERED;
    return delete e, alive--, OK;
}
