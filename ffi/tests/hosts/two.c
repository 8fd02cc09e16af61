// A program that contains the library, with a plugin that needs the shared library. Each has its own objects.
//
//   two PLUGIN MODEL PICTURE
#include <dlfcn.h>
#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(what) \
    if (!(what)) fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #what, sam2_last_error()), exit(1)

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    sam2_model *model;
    sam2_model_info info = SAM2_MODEL_INFO_INIT;
    CHECK(sam2_model_load(argv[2], NULL, &model) == SAM2_OK);
    void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!plugin) return fprintf(stderr, "%s\n", dlerror()), 1;
    int (*run)(const char *, const char *), (*stop)(void);
    *(void **)&run = dlsym(plugin, "plugin_run"), *(void **)&stop = dlsym(plugin, "plugin_stop");
    // The shared library is another one.
    void *shared = dlopen("libsam2.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    CHECK(shared && dlsym(shared, "sam2_model_load") != (void *)sam2_model_load);
    sam2_status (*describe)(const sam2_model *, sam2_model_info *);
    *(void **)&describe = dlsym(shared, "sam2_model_get_info");
    CHECK(describe && describe(model, &info) == SAM2_ERROR_INVALID_HANDLE);
    CHECK(run(argv[2], argv[3]) == 0);
    CHECK(sam2_model_get_info(model, &info) == SAM2_OK && info.image_size == 256);
    CHECK(stop() == 0);
    CHECK(sam2_model_destroy(model) == SAM2_OK);
    return 0;
}
