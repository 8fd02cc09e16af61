/// @file
/// The form of the C++ headers that a program selects. sam2.hpp describes the forms. License: Apache-2.0.
#ifndef SAM2_FORM_HPP
#define SAM2_FORM_HPP

#include <sam2.h>

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define SAM2_CPP_UNWINDS_ 1
#else
#define SAM2_CPP_UNWINDS_ 0
#endif

#if defined(SAM2_CPP_EXCEPTIONS)
#if !SAM2_CPP_UNWINDS_
#error "SAM2_CPP_EXCEPTIONS is defined, but the compiler's exceptions are off"
#endif
#define SAM2_CPP_FORM_ exceptions
#elif SAM2_CPP_UNWINDS_
#define SAM2_CPP_FORM_ results
#else
#define SAM2_CPP_FORM_ results_without_exceptions
#endif

#endif
