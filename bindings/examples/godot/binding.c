#include "binding.h"

#include <stdlib.h>
#include <string.h>

/* Memory for a value of any type that Godot passes. The largest are a Variant and a Rect2i. */
typedef union {
    GDExtensionBool as_bool;
    int64_t as_int;
    double as_float;
    uint8_t bytes[64];
} value;

static GDExtensionClassLibraryPtr library;
static GDExtensionInterfaceVariantGetType variant_get_type;
static GDExtensionInterfaceGetVariantFromTypeConstructor get_variant_from_type;
static GDExtensionInterfaceGetVariantToTypeConstructor get_variant_to_type;
static GDExtensionInterfaceVariantGetPtrConstructor get_constructor;
static GDExtensionInterfaceVariantGetPtrDestructor get_destructor;
static GDExtensionInterfaceVariantGetPtrBuiltinMethod get_builtin_method;
static GDExtensionInterfaceStringNewWithUtf8Chars string_new;
static GDExtensionInterfaceStringToUtf8Chars string_to_chars;
static GDExtensionInterfaceStringNameNewWithLatin1Chars string_name_new;
static GDExtensionInterfacePackedByteArrayOperatorIndex bytes_index;
static GDExtensionInterfacePackedByteArrayOperatorIndexConst bytes_index_const;
static GDExtensionInterfacePackedInt32ArrayOperatorIndex ints_index;
static GDExtensionInterfaceClassdbConstructObject construct_object;
static GDExtensionInterfaceObjectSetInstance object_set_instance;
static GDExtensionInterfaceClassdbRegisterExtensionClass3 register_class;
static GDExtensionInterfaceClassdbRegisterExtensionClassMethod register_method;
static GDExtensionInterfaceClassdbUnregisterExtensionClass unregister_class;
static GDExtensionPtrBuiltInMethod bytes_get_size, bytes_set_size, ints_set_size;

/* Names that live as long as the extension. */
static value class_name, parent_name;

static void name_new(value *name, const char *text) {
    string_name_new(name, text, 0);
}

static void destroy(int type, value *v) {
    GDExtensionPtrDestructor destructor = get_destructor((GDExtensionVariantType)type);
    if (destructor) destructor(v);
}

char *string_to_utf8(GDExtensionConstTypePtr string) {
    GDExtensionInt size = string_to_chars(string, NULL, 0);
    char *text = malloc((size_t)size + 1);
    if (!text) return NULL;
    string_to_chars(string, text, size);
    text[size] = 0;
    return text;
}

void string_set(GDExtensionTypePtr string, const char *utf8) {
    destroy(STRING, string);
    string_new(string, utf8);
}

int64_t bytes_size(GDExtensionConstTypePtr bytes) {
    int64_t size = 0;
    bytes_get_size((GDExtensionTypePtr)bytes, NULL, &size, 0);
    return size;
}

const uint8_t *bytes_data(GDExtensionConstTypePtr bytes) {
    return bytes_index_const(bytes, 0);
}

static int64_t resize(GDExtensionPtrBuiltInMethod method, GDExtensionTypePtr array, int64_t size) {
    int64_t error = 0;
    GDExtensionConstTypePtr arguments[] = {&size};
    method(array, arguments, &error, 1);
    return error;
}

uint8_t *bytes_resize(GDExtensionTypePtr bytes, int64_t size) {
    return resize(bytes_set_size, bytes, size) || !size ? NULL : bytes_index(bytes, 0);
}

int32_t *ints_resize(GDExtensionTypePtr ints, int64_t size) {
    return resize(ints_set_size, ints, size) || !size ? NULL : ints_index(ints, 0);
}

/* Converts an argument. An int is accepted for a float. Returns 0 for a value of another type. */
static int convert(GDExtensionConstVariantPtr from, int type, value *to) {
    int given = (int)variant_get_type(from);
    if (given != type && !(given == INT && type == FLOAT)) return 0;
    get_variant_to_type((GDExtensionVariantType)given)(to, (GDExtensionVariantPtr)from);
    if (given != type) to->as_float = (double)to->as_int;
    return 1;
}

/* Calls a method with Variants, as scripts without static types do. */
static void call_with_variants(void *user, GDExtensionClassInstancePtr instance, const GDExtensionConstVariantPtr *given,
                               GDExtensionInt num_given, GDExtensionVariantPtr result, GDExtensionCallError *error) {
    const method *m = user;
    value arguments[MAX_ARGUMENTS], returned;
    GDExtensionConstTypePtr pointers[MAX_ARGUMENTS];
    int converted = 0;
    error->error = GDEXTENSION_CALL_OK, error->argument = error->expected = m->num_arguments;
    if (num_given != m->num_arguments) {
        error->error = num_given < m->num_arguments ? GDEXTENSION_CALL_ERROR_TOO_FEW_ARGUMENTS
                                                    : GDEXTENSION_CALL_ERROR_TOO_MANY_ARGUMENTS;
        return;
    }
    for (; converted < m->num_arguments; converted++) {
        int type = m->arguments[converted].type;
        if (!convert(given[converted], type, &arguments[converted])) {
            error->error = GDEXTENSION_CALL_ERROR_INVALID_ARGUMENT, error->argument = converted, error->expected = type;
            break;
        }
        pointers[converted] = &arguments[converted];
    }
    if (error->error == GDEXTENSION_CALL_OK) {
        if (m->result != NONE) get_constructor((GDExtensionVariantType)m->result, 0)(&returned, NULL);
        m->call(NULL, instance, pointers, &returned);
        if (m->result != NONE) {
            get_variant_from_type((GDExtensionVariantType)m->result)(result, &returned);
            destroy(m->result, &returned);
        }
    }
    while (converted-- > 0) destroy(m->arguments[converted].type, &arguments[converted]);
}

static GDExtensionObjectPtr create_instance(void *user) {
    (void)user;
    void *instance = the_class.create();
    if (!instance) return NULL;
    GDExtensionObjectPtr object = construct_object(&parent_name);
    object_set_instance(object, &class_name, instance);
    return object;
}

static void free_instance(void *user, GDExtensionClassInstancePtr instance) {
    (void)user;
    the_class.destroy(instance);
}

static void add_method(const method *m) {
    enum { STORED_BY_DEFAULT = 6 };
    value name, none, text, names[MAX_ARGUMENTS];
    GDExtensionPropertyInfo infos[MAX_ARGUMENTS], result;
    GDExtensionClassMethodArgumentMetadata metadata[MAX_ARGUMENTS] = {GDEXTENSION_METHOD_ARGUMENT_METADATA_NONE};
    name_new(&name, m->name), name_new(&none, ""), string_new(&text, "");
    result = (GDExtensionPropertyInfo){(GDExtensionVariantType)m->result, &none, &none, 0, &text, STORED_BY_DEFAULT};
    for (int i = 0; i < m->num_arguments; i++) {
        name_new(&names[i], m->arguments[i].name);
        infos[i] = result, infos[i].type = (GDExtensionVariantType)m->arguments[i].type, infos[i].name = &names[i];
    }
    GDExtensionClassMethodInfo info = {
        .name = &name, .method_userdata = (void *)m, .call_func = call_with_variants, .ptrcall_func = m->call,
        .method_flags = GDEXTENSION_METHOD_FLAGS_DEFAULT, .has_return_value = m->result != NONE,
        .return_value_info = &result, .argument_count = (uint32_t)m->num_arguments, .arguments_info = infos,
        .arguments_metadata = metadata};
    register_method(library, &class_name, &info);
    for (int i = 0; i < m->num_arguments; i++) destroy(GDEXTENSION_VARIANT_TYPE_STRING_NAME, &names[i]);
    destroy(GDEXTENSION_VARIANT_TYPE_STRING_NAME, &name), destroy(GDEXTENSION_VARIANT_TYPE_STRING_NAME, &none);
    destroy(STRING, &text);
}

/* Gets a method of a builtin type. The number is the hash of its signature in extension_api.json. */
static GDExtensionPtrBuiltInMethod builtin_method(int type, const char *name, int64_t hash) {
    value n;
    name_new(&n, name);
    GDExtensionPtrBuiltInMethod found = get_builtin_method((GDExtensionVariantType)type, &n, hash);
    destroy(GDEXTENSION_VARIANT_TYPE_STRING_NAME, &n);
    return found;
}

static void initialize(void *user, GDExtensionInitializationLevel level) {
    (void)user;
    if (level != GDEXTENSION_INITIALIZATION_SCENE) return;
    bytes_get_size = builtin_method(BYTES, "size", 3173160232);
    bytes_set_size = builtin_method(BYTES, "resize", 848867239);
    ints_set_size = builtin_method(INTS, "resize", 848867239);
    name_new(&class_name, the_class.name), name_new(&parent_name, "RefCounted");
    GDExtensionClassCreationInfo3 info = {
        .is_exposed = 1, .create_instance_func = create_instance, .free_instance_func = free_instance};
    register_class(library, &class_name, &parent_name, &info);
    for (int i = 0; i < the_class.num_methods; i++) add_method(&the_class.methods[i]);
}

static void deinitialize(void *user, GDExtensionInitializationLevel level) {
    (void)user;
    if (level != GDEXTENSION_INITIALIZATION_SCENE) return;
    unregister_class(library, &class_name);
    destroy(GDEXTENSION_VARIANT_TYPE_STRING_NAME, &class_name);
    destroy(GDEXTENSION_VARIANT_TYPE_STRING_NAME, &parent_name);
}

#if defined(_WIN32)
__declspec(dllexport)
#else
__attribute__((visibility("default")))
#endif
GDExtensionBool sam2_godot_init(GDExtensionInterfaceGetProcAddress get, GDExtensionClassLibraryPtr of,
                                GDExtensionInitialization *init) {
#define GET(variable, type, name) (variable = (GDExtensionInterface##type)(void (*)(void))get(name))
    library = of;
    init->minimum_initialization_level = GDEXTENSION_INITIALIZATION_SCENE;
    init->initialize = initialize, init->deinitialize = deinitialize;
    return GET(variant_get_type, VariantGetType, "variant_get_type") &&
           GET(get_variant_from_type, GetVariantFromTypeConstructor, "get_variant_from_type_constructor") &&
           GET(get_variant_to_type, GetVariantToTypeConstructor, "get_variant_to_type_constructor") &&
           GET(get_constructor, VariantGetPtrConstructor, "variant_get_ptr_constructor") &&
           GET(get_destructor, VariantGetPtrDestructor, "variant_get_ptr_destructor") &&
           GET(get_builtin_method, VariantGetPtrBuiltinMethod, "variant_get_ptr_builtin_method") &&
           GET(string_new, StringNewWithUtf8Chars, "string_new_with_utf8_chars") &&
           GET(string_to_chars, StringToUtf8Chars, "string_to_utf8_chars") &&
           GET(string_name_new, StringNameNewWithLatin1Chars, "string_name_new_with_latin1_chars") &&
           GET(bytes_index, PackedByteArrayOperatorIndex, "packed_byte_array_operator_index") &&
           GET(bytes_index_const, PackedByteArrayOperatorIndexConst, "packed_byte_array_operator_index_const") &&
           GET(ints_index, PackedInt32ArrayOperatorIndex, "packed_int32_array_operator_index") &&
           GET(construct_object, ClassdbConstructObject, "classdb_construct_object") &&
           GET(object_set_instance, ObjectSetInstance, "object_set_instance") &&
           GET(register_class, ClassdbRegisterExtensionClass3, "classdb_register_extension_class3") &&
           GET(register_method, ClassdbRegisterExtensionClassMethod, "classdb_register_extension_class_method") &&
           GET(unregister_class, ClassdbUnregisterExtensionClass, "classdb_unregister_extension_class");
#undef GET
}
