/// @file
/// C++17 interface of sam2: RAII classes over the functions of sam2.h. License: Apache-2.0.
///
/// Calls return a sam2::result, which holds a value or an error. If SAM2_CPP_EXCEPTIONS is defined before this header
/// is included, calls return the value itself and throw sam2::failure instead. Objects can be moved but not copied. The
/// rules of sam2.h about threads, memory and units apply.
///
/// An exception from a function that the library calls ends that call and is rethrown to its caller. An exception in a
/// job is rethrown by job::wait and job::get. A log callback must not throw. A callback must not destroy the object whose
/// call runs it.
///
/// The names are in an inline namespace for each form of the header, so objects that are compiled in different forms
/// can be linked into one program. Passing an object of one form to a function of another form does not link.
#ifndef SAM2_HPP
#define SAM2_HPP

#include <sam2/automatic_mask_generator.hpp>
#include <sam2/dlpack.hpp>
#include <sam2/features.hpp>
#include <sam2/image_predictor.hpp>
#include <sam2/job.hpp>
#include <sam2/log.hpp>
#include <sam2/mask.hpp>
#include <sam2/mask_buffer.hpp>
#include <sam2/model.hpp>
#include <sam2/picture.hpp>
#include <sam2/prompt.hpp>
#include <sam2/result.hpp>
#include <sam2/span.hpp>
#include <sam2/time_limit.hpp>
#include <sam2/video_predictor.hpp>

#endif
