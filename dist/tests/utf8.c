// Reads and writes files in the folder "ä", whose names are in UTF-8 on every system.
#include <sam2.h>
#include <stdio.h>

static const uint8_t mask[6] = {1, 0, 1, 1, 0, 1};

int main(void) {
    sam2_picture *picture;
    if (sam2_picture_read("\xc3\xa4/\xe6\x97\xa5.png", &picture)) return fprintf(stderr, "%s\n", sam2_last_error()), 1;
    sam2_picture_destroy(picture);
    if (sam2_mask_write_png("\xc3\xa4/\xe6\xa9.png", mask, 3, 2) == SAM2_OK) return fputs("not UTF-8, and written\n", stderr), 1;
    if (sam2_mask_write_png("\xc3\xa4/\xe6\x8e\xa9.png", mask, 3, 2)) return fprintf(stderr, "%s\n", sam2_last_error()), 1;
    return 0;
}
