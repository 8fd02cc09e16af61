/* Registers a class with methods in Godot. */
#ifndef BINDING_H
#define BINDING_H

#include <gdextension_interface.h>

/* Types of arguments and results. The ABI of methods fixes their C types: GDExtensionBool, int64_t, double, and for the
 * others memory that the functions below read and write. */
enum { NONE = GDEXTENSION_VARIANT_TYPE_NIL,
       BOOL = GDEXTENSION_VARIANT_TYPE_BOOL,
       INT = GDEXTENSION_VARIANT_TYPE_INT,
       FLOAT = GDEXTENSION_VARIANT_TYPE_FLOAT,
       STRING = GDEXTENSION_VARIANT_TYPE_STRING,
       RECT2I = GDEXTENSION_VARIANT_TYPE_RECT2I, /* four int32_t: x, y, width, height */
       BYTES = GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY,
       INTS = GDEXTENSION_VARIANT_TYPE_PACKED_INT32_ARRAY };

#define MAX_ARGUMENTS 5

typedef struct {
    const char *name;
    GDExtensionClassMethodPtrCall call;
    int result, num_arguments;
    struct {
        const char *name;
        int type;
    } arguments[MAX_ARGUMENTS];
} method;

/* A class that extends RefCounted. */
typedef struct {
    const char *name;
    void *(*create)(void); /* NULL after a failure */
    void (*destroy)(void *instance);
    const method *methods;
    int num_methods;
} class_description;

extern const class_description the_class;

/* Copies a String as UTF-8, to be freed by the caller. Returns NULL if there is no memory. */
char *string_to_utf8(GDExtensionConstTypePtr string);
/* Writes to an empty String. */
void string_set(GDExtensionTypePtr string, const char *utf8);
int64_t bytes_size(GDExtensionConstTypePtr bytes);
const uint8_t *bytes_data(GDExtensionConstTypePtr bytes);
/* Resizes a PackedByteArray or PackedInt32Array. Returns its memory, or NULL if it is empty. */
uint8_t *bytes_resize(GDExtensionTypePtr bytes, int64_t size);
int32_t *ints_resize(GDExtensionTypePtr ints, int64_t size);

#endif
