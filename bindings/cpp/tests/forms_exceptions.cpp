// Half of a program with two forms of the header: calls throw.
#define SAM2_CPP_EXCEPTIONS
#include <sam2.hpp>

#include <cstdio>

bool other(const char* path);

int main(int, char** argv) {
    auto model = sam2::model::load(argv[1]);
    std::printf("%u\n", model.info().image_size);
    std::printf("%d\n", other(argv[1]));
    try {
        sam2::model::load("/nowhere");
        std::puts("not thrown");
    } catch (const sam2::failure& e) {
        std::printf("thrown %d\n", e.status());
    }
}
