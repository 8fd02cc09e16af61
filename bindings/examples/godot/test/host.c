/* NOT Godot: the functions of the interface that the extension uses, over simple types, so that the extension can be
 * loaded and called without Godot. It cannot show that Godot itself accepts the extension.
 *
 * host EXTENSION MODEL FRAMES COUNT WIDTH HEIGHT X Y [X Y]...: tracks objects through files of RGBA pixels, the top row
 * first, and prints them. */
#include <gdextension_interface.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Strings and arrays have the sizes of Godot's: 8 and 16 bytes. A Variant has 24. */
typedef struct {
    void *data;
    int64_t size;
} array;
typedef struct {
    int64_t type;
    union {
        GDExtensionBool as_bool;
        int64_t as_int;
        double as_float;
        char *string;
        int32_t rect[4];
        array array;
    } v;
} variant;
_Static_assert(sizeof(variant) == 24, "the size of a Variant");

static int living; /* strings and arrays */
static GDExtensionClassMethodInfo methods[32];
static char method_names[32][32];
static int num_methods;
static const void *the_instance;
static GDExtensionClassCreationInfo3 class_info;

static void *copied(const void *from, size_t size) {
    char *to = calloc(1, size + 1);
    if (!to) exit(1);
    if (size) memcpy(to, from, size);
    living++;
    return to;
}
static size_t size_of(int type) {
    if (type == GDEXTENSION_VARIANT_TYPE_BOOL) return 1;
    return type == GDEXTENSION_VARIANT_TYPE_RECT2I || type > GDEXTENSION_VARIANT_TYPE_ARRAY ? 16 : 8;
}
static int is_text(int type) {
    return type == GDEXTENSION_VARIANT_TYPE_STRING || type == GDEXTENSION_VARIANT_TYPE_STRING_NAME;
}
static int is_array(int type) {
    return type == GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY || type == GDEXTENSION_VARIANT_TYPE_PACKED_INT32_ARRAY;
}
static void construct(int type, void *to, const void *from) {
    memcpy(to, from, size_of(type));
    const array *a = from;
    if (is_text(type)) *(void **)to = copied(*(char *const *)from, strlen(*(char *const *)from));
    if (is_array(type))
        ((array *)to)->data = copied(a->data, (size_t)a->size * (type == GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY ? 1 : 4));
}
static void destruct(void *p) {
    free(*(void **)p), living--;
}
static void text_new(void *to, const char *text) {
    *(void **)to = copied(text, strlen(text));
}
static void name_new(void *to, const char *text, GDExtensionBool is_static) {
    (void)is_static;
    text_new(to, text);
}
static GDExtensionInt to_utf8(const void *string, char *to, GDExtensionInt size) {
    const char *text = *(char *const *)string;
    if (to) memcpy(to, text, (size_t)size);
    return (GDExtensionInt)strlen(text);
}
static GDExtensionVariantType type_of(const void *v) {
    return (GDExtensionVariantType)((const variant *)v)->type;
}

/* One set of functions per type. */
#define TYPE(name, number)                                                                        \
    static void from_##name(void *to, void *from) {                                               \
        ((variant *)to)->type = number, construct(number, &((variant *)to)->v, from);             \
    }                                                                                             \
    static void to_##name(void *to, void *from) { construct(number, to, &((variant *)from)->v); } \
    static void new_##name(void *to, const void *const *arguments) {                              \
        (void)arguments;                                                                          \
        memset(to, 0, size_of(number));                                                           \
        if (is_text(number) || is_array(number)) *(void **)to = copied("", 0);                    \
    }
TYPE(bool, GDEXTENSION_VARIANT_TYPE_BOOL)
TYPE(int, GDEXTENSION_VARIANT_TYPE_INT)
TYPE(float, GDEXTENSION_VARIANT_TYPE_FLOAT)
TYPE(string, GDEXTENSION_VARIANT_TYPE_STRING)
TYPE(rect, GDEXTENSION_VARIANT_TYPE_RECT2I)
TYPE(bytes, GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY)
TYPE(ints, GDEXTENSION_VARIANT_TYPE_PACKED_INT32_ARRAY)
#define BY_TYPE(prefix)                                                                        \
    type == GDEXTENSION_VARIANT_TYPE_BOOL                ? prefix##bool                        \
    : type == GDEXTENSION_VARIANT_TYPE_INT               ? prefix##int                         \
    : type == GDEXTENSION_VARIANT_TYPE_FLOAT             ? prefix##float                       \
    : type == GDEXTENSION_VARIANT_TYPE_STRING            ? prefix##string                      \
    : type == GDEXTENSION_VARIANT_TYPE_RECT2I            ? prefix##rect                        \
    : type == GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY ? prefix##bytes : prefix##ints
static GDExtensionVariantFromTypeConstructorFunc variant_from(GDExtensionVariantType type) { return BY_TYPE(from_); }
static GDExtensionTypeFromVariantConstructorFunc variant_to(GDExtensionVariantType type) { return BY_TYPE(to_); }
static GDExtensionPtrConstructor constructor(GDExtensionVariantType type, int32_t which) {
    return which ? NULL : BY_TYPE(new_);
}
static GDExtensionPtrDestructor destructor(GDExtensionVariantType type) {
    return is_text(type) || is_array(type) ? destruct : NULL;
}
static void resize_to(array *a, int64_t count, size_t size) {
    a->data = realloc(a->data, (size_t)count * size + 1), a->size = count;
    if (!a->data) exit(1);
}
static void bytes_resize(void *a, const void *const *arguments, void *result, int count) {
    (void)count;
    resize_to(a, *(const int64_t *)arguments[0], 1), *(int64_t *)result = 0;
}
static void ints_resize(void *a, const void *const *arguments, void *result, int count) {
    (void)count;
    resize_to(a, *(const int64_t *)arguments[0], 4), *(int64_t *)result = 0;
}
static void array_size(void *a, const void *const *arguments, void *result, int count) {
    (void)arguments, (void)count;
    *(int64_t *)result = ((array *)a)->size;
}
static GDExtensionPtrBuiltInMethod builtin(GDExtensionVariantType type, const void *name, GDExtensionInt hash) {
    const char *text = *(char *const *)name;
    if (!strcmp(text, "size") && hash == 3173160232) return array_size;
    if (strcmp(text, "resize") || hash != 848867239) return NULL;
    return type == GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY ? bytes_resize : ints_resize;
}
static uint8_t *bytes_at(void *a, GDExtensionInt i) { return (uint8_t *)((array *)a)->data + i; }
static const uint8_t *bytes_at_const(const void *a, GDExtensionInt i) { return (const uint8_t *)((const array *)a)->data + i; }
static int32_t *ints_at(void *a, GDExtensionInt i) { return (int32_t *)((array *)a)->data + i; }
static void *construct_object(const void *class_name) {
    static int object;
    return strcmp(*(char *const *)class_name, "RefCounted") ? NULL : &object;
}
static void set_instance(void *object, const void *class_name, void *instance) {
    (void)object, (void)class_name;
    the_instance = instance;
}
static void register_class(void *library, const void *name, const void *parent, const GDExtensionClassCreationInfo3 *info) {
    (void)library, (void)parent;
    printf("class %s\n", *(char *const *)name);
    class_info = *info;
}
static void register_method(void *library, const void *name, const GDExtensionClassMethodInfo *info) {
    (void)library, (void)name;
    snprintf(method_names[num_methods], 32, "%s", *(char **)info->name);
    methods[num_methods++] = *info;
}
static void unregister_class(void *library, const void *name) { (void)library, (void)name; }

static GDExtensionInterfaceFunctionPtr get_function(const char *name) {
#define HAS(wanted, f) if (!strcmp(name, wanted)) return (GDExtensionInterfaceFunctionPtr)(void (*)(void))f
    HAS("variant_get_type", type_of);
    HAS("get_variant_from_type_constructor", variant_from);
    HAS("get_variant_to_type_constructor", variant_to);
    HAS("variant_get_ptr_constructor", constructor);
    HAS("variant_get_ptr_destructor", destructor);
    HAS("variant_get_ptr_builtin_method", builtin);
    HAS("string_new_with_utf8_chars", text_new);
    HAS("string_to_utf8_chars", to_utf8);
    HAS("string_name_new_with_latin1_chars", name_new);
    HAS("packed_byte_array_operator_index", bytes_at);
    HAS("packed_byte_array_operator_index_const", bytes_at_const);
    HAS("packed_int32_array_operator_index", ints_at);
    HAS("classdb_construct_object", construct_object);
    HAS("object_set_instance", set_instance);
    HAS("classdb_register_extension_class3", register_class);
    HAS("classdb_register_extension_class_method", register_method);
    HAS("classdb_unregister_extension_class", unregister_class);
    return NULL;
}

static GDExtensionClassMethodInfo *find(const char *name) {
    for (int i = 0; i < num_methods; i++)
        if (!strcmp(method_names[i], name)) return &methods[i];
    fprintf(stderr, "no method %s\n", name), exit(1);
}

/* Calls a method with Variants, which are freed. */
static variant call(const char *name, int count, variant *given) {
    const void *pointers[8];
    variant result = {0};
    GDExtensionCallError error;
    GDExtensionClassMethodInfo *m = find(name);
    for (int i = 0; i < count; i++) pointers[i] = &given[i];
    m->call_func(m->method_userdata, (void *)the_instance, pointers, count, &result, &error);
    if (error.error) printf("%s: error %d, argument %d, expected %d\n", name, error.error, error.argument, error.expected);
    for (int i = 0; i < count; i++)
        if (is_text((int)given[i].type) || is_array((int)given[i].type)) destruct(&given[i].v);
    return result;
}
/* Calls a method with typed arguments, as scripts with static types do. */
static void call_typed(const char *name, const void *const *arguments, void *result) {
    GDExtensionClassMethodInfo *m = find(name);
    m->ptrcall_func(m->method_userdata, (void *)the_instance, arguments, result);
}
static variant an_int(int64_t v) { return (variant){GDEXTENSION_VARIANT_TYPE_INT, {.as_int = v}}; }
static variant a_float(double v) { return (variant){GDEXTENSION_VARIANT_TYPE_FLOAT, {.as_float = v}}; }
static variant a_bool(int v) { return (variant){GDEXTENSION_VARIANT_TYPE_BOOL, {.as_bool = (GDExtensionBool)v}}; }
static variant a_string(const char *v) {
    variant s = {GDEXTENSION_VARIANT_TYPE_STRING, {0}};
    text_new(&s.v, v);
    return s;
}
static variant read_frame(const char *folder, int i) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%05d.rgba", folder, i);
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) perror(path), exit(1);
    variant v = {GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY, {.array = {copied("", 0), 0}}};
    resize_to(&v.v.array, ftell(file), 1);
    rewind(file);
    if (fread(v.v.array.data, 1, (size_t)v.v.array.size, file) != (size_t)v.v.array.size) perror(path), exit(1);
    fclose(file);
    return v;
}
static void print_error(void) {
    variant text = call("get_error", 0, NULL);
    printf("%s\n", text.v.string);
    destruct(&text.v);
}
static void print_objects(int frame, int width, int height) {
    variant ids = call("object_ids", 0, NULL);
    array map = {copied("", 0), 0};
    call_typed("label_map", NULL, &map);
    for (int64_t i = 0; i < ids.v.array.size; i++) {
        int32_t id = ((int32_t *)ids.v.array.data)[i];
        const int32_t *box = call("object_box", 1, (variant[]){an_int(id)}).v.rect;
        int32_t b[4];
        memcpy(b, box, sizeof b);
        long long pixels = 0, rows = 0;
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                if (((uint8_t *)map.data)[y * width + x] == id) pixels++, rows += y;
        printf("%d %d %d %d %d %d %d %lld %lld\n", frame, id, b[2] > 0, b[0], b[1], b[0] + b[2] - 1, b[1] + b[3] - 1, pixels,
               pixels ? rows / pixels : -1);
    }
    destruct(&ids.v), destruct(&map);
}

int main(int argc, char **argv) {
    if (argc < 9) return 2;
    void *extension = dlopen(argv[1], RTLD_NOW);
    if (!extension) return fprintf(stderr, "%s\n", dlerror()), 1;
    GDExtensionInitializationFunction entry;
    *(void **)&entry = dlsym(extension, "sam2_godot_init");
    GDExtensionInitialization init;
    if (!entry(get_function, NULL, &init)) return fprintf(stderr, "the extension refuses\n"), 1;
    for (int level = 0; level < GDEXTENSION_MAX_INITIALIZATION_LEVEL; level++)
        init.initialize(init.userdata, (GDExtensionInitializationLevel)level);
    class_info.create_instance_func(class_info.class_userdata);
    int count = atoi(argv[4]), width = atoi(argv[5]), height = atoi(argv[6]), objects = (argc - 7) / 2;
    /* Failures are values, not crashes. */
    printf("%d\n", call("open", 4, (variant[]){a_string("/nowhere"), an_int(width), an_int(height), an_int(0)}).v.as_bool);
    print_error();
    call("open", 1, (variant[]){a_string("/nowhere")});
    call("remove_object", 1, (variant[]){a_string("1")});
    printf("%lld\n", (long long)call("push_frame", 2, (variant[]){read_frame(argv[3], 0), an_int(0)}).v.as_int);
    variant opened = call("open", 4, (variant[]){a_string(argv[2]), an_int(width), an_int(height), an_int(0)});
    if (!opened.v.as_bool) return print_error(), 1;
    for (int i = 0; i < objects; i++) {
        /* The second number is an int, as a script may pass it. */
        variant x = a_float(atof(argv[7 + 2 * i])), y = an_int(atoi(argv[8 + 2 * i]));
        call("add_point", 4, (variant[]){an_int(i + 1), x, y, a_bool(1)});
    }
    printf("%d\n", call("add_box", 5, (variant[]){an_int(256), an_int(0), an_int(0), an_int(9), an_int(9)}).v.as_bool);
    for (int i = 0; i < count; i++) {
        if (i == count / 2 && objects > 1) call("remove_object", 1, (variant[]){an_int(objects)});
        variant frame = read_frame(argv[3], i);
        int64_t number = i, status = 0;
        call_typed("push_frame", (const void *const[]){&frame.v, &number}, &status);
        if (status != 1) return print_error(), 1;
        while ((status = call("poll", 0, NULL).v.as_int) == 0) nanosleep(&(struct timespec){0, 1000000}, NULL);
        if (status < 0) return print_error(), 1;
        print_objects((int)call("frame", 0, NULL).v.as_int, width, height);
        destruct(&frame.v);
    }
    class_info.free_instance_func(class_info.class_userdata, (void *)the_instance);
    init.deinitialize(init.userdata, GDEXTENSION_INITIALIZATION_SCENE);
    printf("%d values live\n", living);
    return 0;
}
