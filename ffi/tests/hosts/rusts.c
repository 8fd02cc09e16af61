// A program that contains the library and another Rust library.
#include <sam2.h>
#include <stdio.h>

int other_rust(void);

int main(int argc, char **argv) {
    sam2_model *model;
    if (argc != 2 || sam2_model_load(argv[1], NULL, &model) != SAM2_OK) return 1;
    printf("%d\n", other_rust());
    return sam2_model_destroy(model) != SAM2_OK;
}
