// Loads a plugin and unloads it, several times. The threads of the library end, and memory does not grow.
//
//   loader PLUGIN MODEL PICTURE
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(what) \
    if (!(what)) fprintf(stderr, "line %d: %s\n", __LINE__, #what), exit(1)

static int threads(void) {
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task = readdir(tasks); task; task = readdir(tasks)) n += task->d_name[0] != '.';
    closedir(tasks);
    return n;
}

static long resident(void) {
    long total, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%ld %ld", &total, &pages) == 2);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    long first = 0;
    for (int i = 0; i < 6; i++) {
        void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (!plugin) return fprintf(stderr, "%s\n", dlerror()), 1;
        int (*run)(const char *, const char *), (*stop)(void);
        *(void **)&run = dlsym(plugin, "plugin_run"), *(void **)&stop = dlsym(plugin, "plugin_stop");
        CHECK(run && stop && run(argv[2], argv[3]) == 0 && threads() > 1);
        CHECK(stop() == 0);
        for (int wait = 0; threads() > 1 && wait < 1000; wait++) usleep(1000);
        CHECK(threads() == 1);
        CHECK(dlclose(plugin) == 0);
        if (i == 1) first = resident();
    }
    CHECK(resident() - first < 8 << 20);
    return 0;
}
