//! All kernels by name, with their threads per block.

macro_rules! kernels {
    ($($name:ident $threads:literal)*) => {
        /// A kernel of `kernels/*.cu`.
        #[allow(non_camel_case_types, missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Kernel { $($name),* }

        impl Kernel {
            /// All kernels.
            pub const ALL: &[Kernel] = &[$(Kernel::$name),*];

            /// The name in the compiled file.
            pub fn name(self) -> &'static str {
                [$(stringify!($name)),*][self as usize]
            }

            /// Threads per block.
            pub fn threads(self) -> u32 {
                [$($threads),*][self as usize]
            }
        }
    };
}

kernels! {
    linear_f32 256 linear_few_rows_f32 256 linear_bf16 256 linear_f16 256 linear_small_bf16 128 linear_small_f16 128
    prepare_rows 256 prepare_patches 256 conv_few_4 256 conv_few_16 256
    layer_norm_4 256 layer_norm_16 256 layer_norm_64 256 layer_norm_96 256 layer_norm_160 256
    layer_norm_192 256 layer_norm_256 256 layer_norm_320 256 layer_norm_384 256 layer_norm_640 256 layer_norm_1152 256
    layer_norm_wide 256
    add 256 max_pool2x2 256 embed_points 128 hold_back 32
    window_attention_f32_32 128 window_attention_f32_96 128 window_attention_f32_256 128
    window_attention_bf16_32 128 window_attention_bf16_64 128 window_attention_bf16_72 128 window_attention_bf16_96 128
    window_attention_bf16_256 128 window_attention_bf16_64_tall 128 window_attention_bf16_72_tall 128 window_attention_bf16_96_tall 128
    window_attention_f16_32 128 window_attention_f16_64 128 window_attention_f16_72 128 window_attention_f16_96 128
    window_attention_f16_256 128 window_attention_f16_64_tall 128 window_attention_f16_72_tall 128 window_attention_f16_96_tall 128
    map_attention_bf16_64 256 map_attention_bf16_72 256 map_attention_bf16_96 256
    map_attention_f16_64 256 map_attention_f16_72 256 map_attention_f16_96 256
    token_attention 256
    memory_attention_f32_64_64 128 memory_attention_f32_256_64 128 memory_attention_f32_256_256 128
    memory_attention_bf16_64_64 128 memory_attention_bf16_256_64 256 memory_attention_bf16_256_64_medium 128
    memory_attention_bf16_256_64_small 128
    memory_attention_bf16_256_256 256 memory_attention_bf16_256_256_small 128
    memory_attention_f16_64_64 128 memory_attention_f16_256_64 256 memory_attention_f16_256_64_medium 128
    memory_attention_f16_256_64_small 128
    memory_attention_f16_256_256 256 memory_attention_f16_256_256_small 128
    merge_splits 256
    attend_image_f32_64 128 attend_image_f32_128 128 attend_image_f32_256 128
    attend_image_bf16_64 128 attend_image_bf16_128 128 attend_image_bf16_256 128
    attend_image_f16_64 128 attend_image_f16_128 128 attend_image_f16_256 128
    update_image_f32 128
    update_image_bf16_64 128 update_image_bf16_128 128 update_image_bf16_256 128
    update_image_f16_64 128 update_image_f16_128 128 update_image_f16_256 128
    upscale_norm 256 upscale_masks 256
    select_masks 256 clean_start 256 clean_join 256 clean_count 256 clean_write 256
    write_masks 256 write_labels 256 measure_masks 256 measure_merge 32
    gather_memories 256 write_bank_slots 256 gather_rows 256 mask_absent_objects 256 memory_mask 256 depthwise_conv7x7 256
    preprocess_columns 256 preprocess_rows 256 bicubic_rows 256 bicubic_columns 256
}
