// The other half: calls return results.
#include <sam2.hpp>

#include <cstdio>

bool other(const char* path);

bool other(const char* path) {
    auto model = sam2::model::load(path);
    if (!model) return false;
    std::printf("%u\n", model->info()->image_size);
    auto bad = sam2::model::load("/nowhere");
    std::printf("%d\n", bad ? 0 : bad.error().status);
    return true;
}
