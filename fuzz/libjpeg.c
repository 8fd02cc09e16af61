/* A JPEG file as libjpeg-turbo decodes it, to compare with. */
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

struct errors {
    struct jpeg_error_mgr base;
    jmp_buf out;
};

static void leave(j_common_ptr info) { longjmp(((struct errors *)info->err)->out, 1); }

static void keep_quiet(j_common_ptr info) { (void)info; }

/* Whether every block is within what the 16-bit arithmetic of libjpeg's vector code holds: beyond, its pixels depend on the
   processor. A column of the first pass gives at most 4 * 1.39 * the sum of a block's magnitudes, and two of them are added. */
static int within_16_bits(struct jpeg_decompress_struct *info) {
    jvirt_barray_ptr *blocks = jpeg_read_coefficients(info);
    for (int c = 0; c < info->num_components; c++) {
        jpeg_component_info *component = &info->comp_info[c];
        if (!component->quant_table) return 0;
        for (JDIMENSION y = 0; y < component->height_in_blocks; y++) {
            JBLOCKARRAY rows = info->mem->access_virt_barray((j_common_ptr)info, blocks[c], y, 1, FALSE);
            for (JDIMENSION x = 0; x < component->width_in_blocks; x++) {
                long sum = 0;
                for (int i = 0; i < DCTSIZE2; i++) sum += labs((long)rows[0][x][i] * component->quant_table->quantval[i]);
                if (sum > 2900) return 0;
            }
        }
    }
    return 1;
}

/* Writes width and height to `sides`, and RGB to `rgb`. Returns 1, or 0 where libjpeg fails or warns, the picture is larger
   than `room`, its colours are other than grey or RGB, or a block overflows. */
int libjpeg_decode(const unsigned char *data, size_t size, unsigned char *rgb, size_t room, int *sides) {
    struct errors errors;
    struct jpeg_decompress_struct info;
    info.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = leave;
    errors.base.output_message = keep_quiet;
    jpeg_create_decompress(&info);
    volatile int done = 0;
    if (!setjmp(errors.out)) {
        for (int pass = 0; pass < 2; pass++) {
            jpeg_mem_src(&info, data, size);
            jpeg_read_header(&info, TRUE);
            if ((size_t)info.image_width * info.image_height * 3 > room || info.num_components == 4) break;
            if (pass == 0) {
                if (!within_16_bits(&info)) break;
                jpeg_abort_decompress(&info);
                continue;
            }
            info.out_color_space = JCS_RGB;
            jpeg_start_decompress(&info);
            while (info.output_scanline < info.output_height) {
                JSAMPROW row = rgb + (size_t)info.output_scanline * info.output_width * 3;
                jpeg_read_scanlines(&info, &row, 1);
            }
            sides[0] = (int)info.output_width;
            sides[1] = (int)info.output_height;
            jpeg_finish_decompress(&info);
            done = errors.base.num_warnings == 0;
        }
    }
    jpeg_destroy_decompress(&info);
    return done;
}
