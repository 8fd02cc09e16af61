/// @file
/// C++17 interface of sam2: RAII classes over the functions of sam2.h. License: Apache-2.0.
///
/// Calls return a sam2::result, which holds a value or an error. If SAM2_CPP_EXCEPTIONS is defined before this header
/// is included, calls return the value itself and throw sam2::failure instead. Objects can be moved but not copied. The
/// rules of sam2.h about threads, memory and units apply.
///
/// An exception from a function that the library calls ends that call and is rethrown to its caller. An exception in a
/// job is rethrown by job::wait and job::get.
///
/// The names are in an inline namespace for each form of the header, so objects that are compiled in different forms
/// can be linked into one program. Passing an object of one form to a function of another form does not link.
#ifndef SAM2_HPP
#define SAM2_HPP

#include <sam2.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

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

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// Reason for the failure of a call.
struct error {
    sam2_status status;   ///< A SAM2_ERROR_ constant.
    std::string message;  ///< Description in English.
    int number = 0;       ///< Number of errno.h if the system refused a file, such as ENOENT. Otherwise 0.
};

namespace detail {
// Gets the latest failure of the calling thread.
inline error last_error(sam2_status status) {
    return {status, sam2_last_error(), sam2_last_errno()};
}
}  // namespace detail

/// View of contiguous values that another object owns, such as a vector or an array.
template <class T> class span {
  public:
    span() = default;
    span(T* data, std::size_t size) : data_(data), size_(size) {}
    template <class C, class = decltype(std::declval<const C&>().data())>
    span(const C& c) : data_(c.data()), size_(c.size()) {}
    T* data() const { return data_; }
    std::size_t size() const { return size_; }
    T* begin() const { return data_; }
    T* end() const { return data_ + size_; }
    T& operator[](std::size_t i) const { return data_[i]; }

  private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

#if SAM2_CPP_UNWINDS_
/// Exception for a failed call.
class failure : public std::exception {
  public:
    explicit failure(sam2::error e) : error_(std::move(e)) {}
    const char* what() const noexcept override { return error_.message.c_str(); }
    sam2_status status() const noexcept { return error_.status; }
    const sam2::error& error() const noexcept { return error_; }

  private:
    sam2::error error_;
};
#endif

namespace detail {
// Reports that a result is accessed incorrectly.
[[noreturn]] inline void misread(error e) {
#if SAM2_CPP_UNWINDS_
    throw failure(std::move(e));
#else
    std::fprintf(stderr, "%s\n", e.message.c_str());
    std::abort();
#endif
}
}  // namespace detail

#ifdef SAM2_CPP_EXCEPTIONS

/// A value. Calls throw sam2::failure instead of returning an error.
template <class T> using result = T;

namespace detail {
template <class T, class F> T give(sam2_status status, F value) {
    if (status != SAM2_OK) throw failure(last_error(status));
    return value();
}
}  // namespace detail

#else

namespace detail {
// Common part of all results.
template <class T> class result_base {
  public:
    bool has_value() const noexcept { return all_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }
    /// Gets the error. The result must have failed.
    const sam2::error& error() const {
        if (has_value()) misread({SAM2_ERROR_INVALID_ARGUMENT, "the error of a sam2::result that has a value"});
        return *std::get_if<1>(&all_);
    }

  protected:
    using either = std::variant<T, sam2::error>;
    explicit result_base(either all) : all_(std::move(all)) {}
    void check() const {
        if (has_value()) return;
        sam2::error e = error();
        e.message = "the value of a sam2::result that failed: " + e.message;
        misread(std::move(e));
    }
    either all_;
};
}  // namespace detail

/// A value or an error. Accessing the value of a failed result throws sam2::failure. If exceptions are disabled in the
/// compiler, it prints the error and aborts the program.
template <class T> class [[nodiscard]] result : public detail::result_base<T> {
  public:
    using value_type = T;
    result(T value) : base(typename base::either(std::in_place_index<0>, std::move(value))) {}
    result(sam2::error e) : base(typename base::either(std::in_place_index<1>, std::move(e))) {}
    T& value() & { return this->check(), *std::get_if<0>(&this->all_); }
    const T& value() const& { return this->check(), *std::get_if<0>(&this->all_); }
    T&& value() && { return std::move(value()); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(value()); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    template <class U> T value_or(U&& other) && {
        return this->has_value() ? std::move(value()) : static_cast<T>(std::forward<U>(other));
    }

  private:
    using base = detail::result_base<T>;
};

/// Success or an error.
template <> class [[nodiscard]] result<void> : public detail::result_base<std::monostate> {
  public:
    using value_type = void;
    result() : result_base(either()) {}
    result(sam2::error e) : result_base(either(std::in_place_index<1>, std::move(e))) {}
    void value() const { check(); }
    void operator*() const { check(); }
};

namespace detail {
template <class T, class F> result<T> give(sam2_status status, F value) {
    if (status != SAM2_OK) return last_error(status);
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return value();
}
}  // namespace detail

#endif

namespace detail {

// Returns an error that is found before a call.
template <class T> result<T> wrong(const char* what) {
#ifdef SAM2_CPP_EXCEPTIONS
    throw failure({SAM2_ERROR_INVALID_ARGUMENT, what});
#else
    return sam2::error{SAM2_ERROR_INVALID_ARGUMENT, what};
#endif
}

inline result<void> done(sam2_status status) {
    return give<void>(status, [] {});
}

// Holds an exception of a callback until the call of the library has ended.
class guard {
  public:
    // Runs a callback. Returns its result, or 1 to end the call after an exception.
    template <class F> std::int32_t run(F work) {
#if SAM2_CPP_UNWINDS_
        if (thrown_) return 1;
        try {
            return work();
        } catch (...) {
            thrown_ = std::current_exception();
            return 1;
        }
#else
        return work();
#endif
    }
    // Rethrows the exception after the call.
    void release() const {
#if SAM2_CPP_UNWINDS_
        if (thrown_) std::rethrow_exception(thrown_);
#endif
    }

  private:
#if SAM2_CPP_UNWINDS_
    std::exception_ptr thrown_ = nullptr;
#endif
};

// Result and exception of a callback.
template <class T> struct kept {
    T value{};
    guard held{};
};
template <> struct kept<void> {
    guard held{};
};

// Owner of a handle, which it destroys.
template <class T, sam2_status (*Destroy)(T*)> class handle {
  public:
    explicit handle(T* p) : p_(p) {}
    handle(handle&& other) noexcept : p_(std::exchange(other.p_, nullptr)) {}
    handle& operator=(handle&& other) noexcept {
        std::swap(p_, other.p_);
        return *this;
    }
    ~handle() {
        if (p_) Destroy(p_);
    }
    /// Gets the handle for functions of sam2.h. This object keeps it.
    T* get() const { return p_; }

  private:
    T* p_;
};

}  // namespace detail

/// The weights of a model on a device. See ::sam2_model.
class model : public detail::handle<sam2_model, sam2_model_destroy> {
  public:
    using handle::handle;

    /// Loads a checkpoint from a file or folder. See sam2_model_load().
    static result<model> load(const std::string& path, const sam2_model_options& options = SAM2_MODEL_OPTIONS_INIT) {
        sam2_model* p = nullptr;
        return detail::give<model>(sam2_model_load(path.c_str(), &options, &p), [&] { return model(p); });
    }
    /// Loads a checkpoint from memory, which is not used after the call.
    static result<model> load_memory(
        span<const std::uint8_t> data, const sam2_model_options& options = SAM2_MODEL_OPTIONS_INIT) {
        sam2_model* p = nullptr;
        return detail::give<model>(
            sam2_model_load_memory(data.data(), data.size(), &options, &p), [&] { return model(p); });
    }
    /// Loads a checkpoint from part of an open file. A size of 0 extends to the end of the file.
    static result<model> load_fd(
        int fd, std::uint64_t offset = 0, std::uint64_t size = 0,
        const sam2_model_options& options = SAM2_MODEL_OPTIONS_INIT) {
        sam2_model* p = nullptr;
        return detail::give<model>(sam2_model_load_fd(fd, offset, size, &options, &p), [&] { return model(p); });
    }
    /// As load_memory().
    static result<model> load(span<const std::uint8_t> checkpoint, const sam2_model_options& options = SAM2_MODEL_OPTIONS_INIT) {
        sam2_model* p = nullptr;
        auto status = sam2_model_load_memory(checkpoint.data(), checkpoint.size(), &options, &p);
        return detail::give<model>(status, [&] { return model(p); });
    }
    /// Describes the model.
    result<sam2_model_info> info() const {
        sam2_model_info info = SAM2_MODEL_INFO_INIT;
        return detail::give<sam2_model_info>(sam2_model_get_info(get(), &info), [&] { return info; });
    }
};

/// Lists the NVIDIA GPUs of the machine. The list is empty if the driver is not installed.
inline result<std::vector<sam2_gpu_info>> gpus() {
    std::uint32_t count = 0;
    std::vector<sam2_gpu_info> all;
    auto status = sam2_gpu_get_count(&count);
    for (std::uint32_t i = 0; i < count && status == SAM2_OK; i++) {
        all.push_back(SAM2_GPU_INFO_INIT);
        status = sam2_gpu_get_info(i, &all.back());
    }
    return detail::give<std::vector<sam2_gpu_info>>(status, [&] { return std::move(all); });
}

/// A decoded image file. See ::sam2_picture.
class picture : public detail::handle<sam2_picture, sam2_picture_destroy> {
  public:
    using handle::handle;

    /// Reads a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file. See sam2_picture_read_with().
    static result<picture> read(const std::string& path, const sam2_picture_options& options = SAM2_PICTURE_OPTIONS_INIT) {
        sam2_picture* p = nullptr;
        return detail::give<picture>(sam2_picture_read_with(path.c_str(), &options, &p), [&] { return picture(p); });
    }
    /// Describes the file as an image. This object owns the pixels.
    result<sam2_image> image() const {
        sam2_image image = SAM2_IMAGE_INIT;
        return detail::give<sam2_image>(sam2_picture_get_image(get(), &image), [&] { return image; });
    }
};

/// Point of a prompt.
struct point {
    float x, y;              ///< Coordinates in pixels.
    std::int32_t label = 1;  ///< 1 on the object, 0 on the background.
};

/// Box of a prompt, in pixels.
struct box {
    float left, top, right, bottom;
};

/// Prompt for one object: points, a box, a mask, or a combination.
struct prompt {
    std::vector<point> points;
    std::optional<sam2::box> box;
    /// Logits of an earlier mask, (mask_side, mask_side), or empty. Image predictors only.
    span<const float> mask_input;
    /// Index of the image of a batch.
    std::uint32_t image = 0;
    /// (mask_height, mask_width): mask of any size in place of `mask_input`, nonzero on the object, or empty. Image
    /// predictors only.
    span<const std::uint8_t> mask;
    std::uint32_t mask_width = 0, mask_height = 0;
    /// Passes an empty list of points if there are no points, as point_coords of shape (0, 2) does in the reference.
    bool pad_points = false;
};

namespace detail {
// Prompt in the form of sam2.h.
class flat_prompt {
  public:
    explicit flat_prompt(const prompt& p) {
        for (const point& at : p.points) {
            xy_.insert(xy_.end(), {at.x, at.y});
            labels_.push_back(at.label);
        }
        if (p.box) box_ = {p.box->left, p.box->top, p.box->right, p.box->bottom};
        c = SAM2_PROMPT_INIT;
        c.num_points = static_cast<std::uint32_t>(p.points.size());
        c.points = xy_.data(), c.labels = labels_.data();
        c.bounds = box_.empty() ? nullptr : box_.data();
        c.mask_input = p.mask_input.size() ? p.mask_input.data() : nullptr;
        c.image = p.image;
        c.pad_points = p.pad_points;
        c.mask = p.mask.size() ? p.mask.data() : nullptr;
        c.mask_width = p.mask_width, c.mask_height = p.mask_height;
    }
    sam2_prompt c;

  private:
    std::vector<float> xy_, box_;
    std::vector<std::int32_t> labels_;
};
}  // namespace detail

/// Results for several prompts, with n masks per prompt.
struct prediction {
    std::size_t n = 0;                       ///< Masks per prompt.
    std::vector<std::uint8_t> masks;         ///< (prompts, n, height, width): 1 on the object.
    std::vector<float> iou_predictions;      ///< (prompts, n): predicted IoU of each mask.
    std::vector<float> low_res_masks;        ///< (prompts, n, mask_side, mask_side): logits.
    std::vector<float> object_score_logits;  ///< (prompts): above 0 if there is an object.
};

/// A call that runs on a thread of the library, and its result. The destructor waits for the end of the call.
template <class T = void> class job {
  public:
    // Takes a job whose callbacks write to `out`.
    job(sam2_job* p, std::unique_ptr<detail::kept<T>> out) : out_(std::move(out)), handle_(p) {}
    job(job&&) noexcept = default;
    job& operator=(job&& other) noexcept {
        std::swap(out_, other.out_), std::swap(handle_, other.handle_);
        return *this;
    }

    /// Waits for at most the given time. Returns whether the job has ended. Fails if the call has failed.
    result<bool> wait(std::uint64_t milliseconds = SAM2_WAIT_FOREVER) const {
        auto how = ended(milliseconds);
        if (how == SAM2_ERROR_BUSY) return false;
        return detail::give<bool>(how, [] { return true; });
    }
    /// Waits for the end and moves the result out. May be called once.
    result<T> get() {
        return detail::give<T>(ended(SAM2_WAIT_FOREVER), [&] {
            if constexpr (!std::is_void_v<T>) return std::move(out_->value);
        });
    }

  private:
    // Gets the status of the job and rethrows exceptions of its callbacks. SAM2_ERROR_BUSY means that it is running.
    sam2_status ended(std::uint64_t milliseconds) const {
        sam2_status how = SAM2_OK;
        auto status = sam2_job_wait(handle_.get(), milliseconds, &how);
        if (status != SAM2_OK) return status;
        out_->held.release();
        return how;
    }
    // Declared first, because the destructor of the handle waits for the job.
    std::unique_ptr<detail::kept<T>> out_;
    detail::handle<sam2_job, sam2_job_destroy> handle_;
};

// Tensors of DLPack. Include dlpack.h before this header.
#ifdef DLPACK_DLPACK_H_
/// Calls the deleter of a tensor.
struct tensor_deleter {
    void operator()(DLManagedTensorVersioned* t) const { t->deleter(t); }
};
/// Owner of a tensor.
using tensor = std::unique_ptr<DLManagedTensorVersioned, tensor_deleter>;

/// Creates a tensor for masks. See sam2_tensor_create().
inline result<tensor> make_tensor(
    const model& m, sam2_mask_format format, sam2_memory memory, span<const std::int64_t> dims) {
    DLManagedTensorVersioned* t = nullptr;
    auto status = sam2_tensor_create(m.get(), format, memory, dims.data(), static_cast<std::uint32_t>(dims.size()), &t);
    return detail::give<tensor>(status, [&] { return tensor(t); });
}
#endif

/// Describes a tensor as an image. The caller keeps the tensor. See sam2_image_from_dlpack().
inline result<sam2_image> image_from_dlpack(const DLManagedTensorVersioned* t) {
    sam2_image image = SAM2_IMAGE_INIT;
    return detail::give<sam2_image>(sam2_image_from_dlpack(t, &image), [&] { return image; });
}
/// Describes a tensor as a buffer for masks. The caller keeps the tensor. See sam2_mask_buffer_from_dlpack().
inline result<sam2_mask_buffer> mask_buffer_from_dlpack(const DLManagedTensorVersioned* t) {
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    return detail::give<sam2_mask_buffer>(sam2_mask_buffer_from_dlpack(t, &buffer), [&] { return buffer; });
}

/// Encodes a mask (height, width) as a COCO run-length string.
inline result<std::string> encode_rle(span<const std::uint8_t> mask, std::uint32_t width, std::uint32_t height) {
    if (mask.size() != std::size_t(width) * height) return detail::wrong<std::string>("a mask of another size");
    std::size_t size = 0;
    auto status = sam2_mask_encode_rle(mask.data(), width, height, nullptr, &size);
    std::string text(size, 0);
    if (status == SAM2_OK) status = sam2_mask_encode_rle(mask.data(), width, height, text.data(), &size);
    return detail::give<std::string>(status, [&] { return text.pop_back(), std::move(text); });
}
/// Decodes a COCO run-length string to a mask (height, width), 1 on the object.
inline result<std::vector<std::uint8_t>> decode_rle(const std::string& text, std::uint32_t width, std::uint32_t height) {
    std::vector<std::uint8_t> mask(std::size_t(width) * height);
    auto status = sam2_mask_decode_rle(text.c_str(), width, height, mask.data());
    return detail::give<std::vector<std::uint8_t>>(status, [&] { return std::move(mask); });
}

/// Draws masks, given as COCO run-length strings, into one map (height, width): 0 on the background, otherwise 1 + the
/// index of the mask. See sam2_mask_get_label_map().
inline result<std::vector<std::uint16_t>> label_map(
    span<const std::string> masks, std::uint32_t width, std::uint32_t height) {
    std::vector<const char*> texts;
    for (const std::string& text : masks) texts.push_back(text.c_str());
    std::vector<std::uint16_t> labels(std::size_t(width) * height);
    auto status = sam2_mask_get_label_map(texts.data(), texts.size(), width, height, labels.data());
    return detail::give<std::vector<std::uint16_t>>(status, [&] { return std::move(labels); });
}

/// Corners (x, y) of an outline. The first corner is not repeated.
using ring = std::vector<std::array<std::uint32_t, 2>>;

/// Gets the outlines of a mask, given as a COCO run-length string. See sam2_mask_get_polygons().
inline result<std::vector<ring>> polygons(const std::string& text, std::uint32_t width, std::uint32_t height) {
    std::size_t corners = 0, rings = 0;
    auto status = sam2_mask_get_polygons(text.c_str(), width, height, nullptr, &corners, nullptr, &rings);
    std::vector<std::uint32_t> points(2 * corners + 1), sizes(rings + 1);
    if (status == SAM2_OK)
        status = sam2_mask_get_polygons(text.c_str(), width, height, points.data(), &corners, sizes.data(), &rings);
    return detail::give<std::vector<ring>>(status, [&] {
        std::vector<ring> all(rings);
        const std::uint32_t* at = points.data();
        for (std::size_t i = 0; i < rings; i++)
            for (std::uint32_t k = 0; k < sizes[i]; k++, at += 2) all[i].push_back({at[0], at[1]});
        return all;
    });
}

/// Encodes images and predicts masks for prompts on them. See ::sam2_image_predictor.
class image_predictor : public detail::handle<sam2_image_predictor, sam2_image_predictor_destroy> {
  public:
    /// Creates a predictor.
    static result<image_predictor> create(
        const model& m, const sam2_image_predictor_options& options = SAM2_IMAGE_PREDICTOR_OPTIONS_INIT) {
        sam2_image_predictor* p = nullptr;
        sam2_model_info info = SAM2_MODEL_INFO_INIT;
        auto status = sam2_model_get_info(m.get(), &info);
        if (status == SAM2_OK) status = sam2_image_predictor_create(m.get(), &options, &p);
        return detail::give<image_predictor>(status, [&] { return image_predictor(p, info.mask_side); });
    }
    /// Allocates memory in advance. See sam2_image_predictor_reserve().
    result<void> reserve(std::uint32_t max_points, bool mask_input, std::uint32_t num_images = 1) {
        return detail::done(sam2_image_predictor_reserve(get(), num_images, max_points, mask_input));
    }
    /// Encodes an image, which replaces the previous images.
    result<void> set_image(const sam2_image& image) { return set_image_batch({&image, 1}); }
    /// Encodes several images of any sizes. The `image` of a prompt selects one of them.
    result<void> set_image_batch(span<const sam2_image> images) {
        auto pixels = sizes(images);
        auto status = sam2_image_predictor_set_image_batch(get(), images.data(), images.size());
        if (status == SAM2_OK) pixels_ = std::move(pixels);
        return detail::done(status);
    }
    /// Starts set_image_batch() as a job. The pixels must remain valid until it ends.
    result<job<>> set_image_batch_async(span<const sam2_image> images) {
        // Allocate everything before the job starts.
        auto pixels = sizes(images);
        auto out = std::make_unique<detail::kept<void>>();
        sam2_job* j = nullptr;
        auto status = sam2_image_predictor_set_image_batch_async(get(), images.data(), images.size(), nullptr, nullptr, &j);
        if (status == SAM2_OK) pixels_ = std::move(pixels);
        return detail::give<job<>>(status, [&] { return job<>(j, std::move(out)); });
    }
    /// Discards the images.
    result<void> reset() { return detail::done(sam2_image_predictor_reset(get())); }
    /// Features of an image, of shape (channels, rows, columns).
    struct features {
        std::uint32_t shape[3];
        std::vector<float> values;
    };
    /// Copies features of an encoded image.
    result<features> get_features(sam2_feature feature = SAM2_FEATURE_IMAGE_EMBEDDING, std::uint32_t image = 0) {
        features out{};
        auto status = sam2_image_predictor_get_features(get(), feature, image, nullptr, 0, out.shape);
        out.values.resize(std::size_t(out.shape[0]) * out.shape[1] * out.shape[2]);
        if (status == SAM2_OK)
            status = sam2_image_predictor_get_features(
                get(), feature, image, out.values.data(), out.values.size(), out.shape);
        return detail::give<features>(status, [&] { return std::move(out); });
    }
    /// Describes the predictor and one of its images.
    result<sam2_image_predictor_info> info(std::uint32_t image = 0) const {
        sam2_image_predictor_info info = SAM2_IMAGE_PREDICTOR_INFO_INIT;
        auto status = sam2_image_predictor_get_info(get(), image, &info);
        return detail::give<sam2_image_predictor_info>(status, [&] { return info; });
    }
    /// Predicts masks for prompts, ordered by their images: three per prompt with `multimask`, otherwise one.
    result<prediction> predict(span<const prompt> prompts, bool multimask = true) {
        std::size_t size = 0;
        for (const prompt& p : prompts)
            if (p.image < pixels_.size()) size += pixels_[p.image] * (multimask ? 3 : 1);
        std::vector<std::uint8_t> masks(size);
        sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
        buffer.data = masks.data(), buffer.size = masks.size();
        auto found = predict_into(prompts, buffer, multimask);
#ifndef SAM2_CPP_EXCEPTIONS
        if (found) found->masks = std::move(masks);
#else
        found.masks = std::move(masks);
#endif
        return found;
    }
    /// As above.
    result<prediction> predict(std::initializer_list<prompt> prompts, bool multimask = true) {
        return predict(span<const prompt>(prompts.begin(), prompts.size()), multimask);
    }
    /// Predicts masks for one prompt.
    result<prediction> predict(const prompt& one, bool multimask = true) {
        return predict(span<const prompt>(&one, 1), multimask);
    }
    /// As predict(), with the masks in a buffer of any format and in any memory.
    result<prediction> predict_into(span<const prompt> prompts, const sam2_mask_buffer& buffer, bool multimask = true) {
        for (const prompt& p : prompts) {
            if (p.mask_input.size() && p.mask_input.size() != mask_side_ * mask_side_)
                return detail::wrong<prediction>(
                    "mask_input: logits of an earlier mask, (mask_side, mask_side), are expected; a mask of the image is `mask`");
            if (p.mask.size() != std::size_t(p.mask_width) * p.mask_height)
                return detail::wrong<prediction>("mask: mask_width times mask_height bytes are expected");
        }
        prediction out;
        out.n = multimask ? 3 : 1;
        std::vector<detail::flat_prompt> flat(prompts.begin(), prompts.end());
        std::vector<sam2_prompt> list;
        for (const auto& p : flat) list.push_back(p.c);
        std::size_t masks = prompts.size() * out.n;
        out.iou_predictions.resize(masks);
        out.low_res_masks.resize(masks * mask_side_ * mask_side_);
        out.object_score_logits.resize(prompts.size());
        sam2_predict_flags flags = multimask ? sam2_predict_flags{SAM2_PREDICT_MULTIMASK} : 0;
        auto status = sam2_image_predictor_predict(
            get(), list.data(), list.size(), flags, &buffer, out.iou_predictions.data(),
            out.low_res_masks.data(), out.object_score_logits.data());
        return detail::give<prediction>(status, [&] { return std::move(out); });
    }

  private:
    image_predictor(sam2_image_predictor* p, std::size_t mask_side) : handle(p), mask_side_(mask_side) {}
    static std::vector<std::size_t> sizes(span<const sam2_image> images) {
        std::vector<std::size_t> pixels;
        for (const sam2_image& i : images) pixels.push_back(std::size_t(i.width) * i.height);
        return pixels;
    }
    std::size_t mask_side_;
    std::vector<std::size_t> pixels_;
};

/// A mask of an automatic_mask_generator.
struct automatic_mask {
    std::uint32_t width = 0, height = 0;             ///< Size of the image in pixels.
    float predicted_iou = 0, stability_score = 0;    ///< As in ::sam2_automatic_mask.
    std::array<float, 4> bbox{}, crop_box{};         ///< Left, top, width and height.
    point point_coords{};                            ///< The point that the mask was predicted from.
    std::uint64_t area = 0;                          ///< Area in pixels.
    std::string rle;                                 ///< COCO run-length string, for decode_rle(), label_map() and polygons().
};

/// Masks of an image.
struct automatic_masks {
    std::vector<automatic_mask> masks;  ///< The best masks first.
    bool complete = false;              ///< Whether all points were processed.
};

/// Finds the masks of all objects in images. See ::sam2_automatic_mask_generator.
class automatic_mask_generator
    : public detail::handle<sam2_automatic_mask_generator, sam2_automatic_mask_generator_destroy> {
  public:
    using handle::handle;

    /// Creates a generator. `point_grids` replaces points_per_side, which must be 0 then: x and y of points from 0 to
    /// 1, for the whole image and for each layer of crops.
    static result<automatic_mask_generator> create(
        const model& m, sam2_automatic_mask_generator_options options = SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT,
        span<const std::vector<std::array<double, 2>>> point_grids = {}) {
        std::vector<double> points;
        std::vector<std::uint32_t> sizes;
        for (const auto& grid : point_grids) {
            sizes.push_back(static_cast<std::uint32_t>(grid.size()));
            for (const auto& at : grid) points.insert(points.end(), at.begin(), at.end());
        }
        if (!sizes.empty()) {
            options.point_grids = points.data(), options.points_per_grid = sizes.data();
            options.num_point_grids = static_cast<std::uint32_t>(sizes.size());
        }
        sam2_automatic_mask_generator* p = nullptr;
        auto status = sam2_automatic_mask_generator_create(m.get(), &options, &p);
        return detail::give<automatic_mask_generator>(status, [&] { return automatic_mask_generator(p); });
    }
    /// Finds all masks, the best first.
    result<std::vector<automatic_mask>> generate(const sam2_image& image) {
        auto always = [](std::uint64_t, std::uint64_t, std::uint64_t) { return true; };
        search<decltype(always)> s{always};
        auto status = s.run(get(), image, SAM2_WAIT_FOREVER);
        return detail::give<std::vector<automatic_mask>>(status, [&] { return std::move(s.found.masks); });
    }
    /// Finds masks until the time is over, or until `progress(points_done, num_points, num_masks)` returns false. It is
    /// called after every batch of points.
    template <class F>
    result<automatic_masks> generate_until(
        const sam2_image& image, F progress, std::uint64_t milliseconds = SAM2_WAIT_FOREVER) {
        search<F> s{progress};
        auto status = s.run(get(), image, milliseconds);
        return detail::give<automatic_masks>(status, [&] { return std::move(s.found); });
    }

  private:
    template <class F> struct search {
        F& progress;
        automatic_masks found = {};
        detail::guard held = {};

        static std::int32_t on_progress(void* user, std::uint64_t points_done, std::uint64_t num_points, std::uint64_t num_masks) {
            auto* s = static_cast<search*>(user);
            return s->held.run([&] { return !s->progress(points_done, num_points, num_masks); });
        }
        static std::int32_t keep(void* user, const sam2_automatic_mask* m) {
            auto* s = static_cast<search*>(user);
            return s->held.run([&] { return s->found.masks.push_back(copy(*m)), 0; });
        }
        static automatic_mask copy(const sam2_automatic_mask& m) {
            automatic_mask out;
            out.width = m.width, out.height = m.height, out.area = m.area, out.rle = m.rle;
            out.predicted_iou = m.predicted_iou, out.stability_score = m.stability_score;
            for (std::size_t i = 0; i < 4; i++) out.bbox[i] = m.bbox[i], out.crop_box[i] = m.crop_box[i];
            out.point_coords = {m.point_coords[0], m.point_coords[1]};
            return out;
        }
        sam2_status run(sam2_automatic_mask_generator* g, const sam2_image& image, std::uint64_t milliseconds) {
            std::int32_t complete = 0;
            auto status =
                sam2_automatic_mask_generator_generate(g, &image, milliseconds, on_progress, keep, this, &complete);
            held.release();
            found.complete = complete != 0;
            return status;
        }
    };
};

/// Results of a frame.
struct frame_masks {
    std::uint64_t frame_idx = 0;
    std::uint32_t width = 0, height = 0;             ///< Size of a mask in pixels.
    std::int64_t timestamp = 0;                      ///< Timestamp of the pushed image.
    std::vector<std::int64_t> obj_ids;
    std::vector<float> object_score_logits;          ///< Above 0 if the object is visible.
    std::vector<std::uint8_t> lost;                  ///< 1 if the object is not visible.
    std::vector<std::array<std::int32_t, 4>> boxes;  ///< Left, top, right and bottom of the outermost pixels.
    std::vector<std::uint64_t> areas;                ///< Areas of the masks in pixels.
    std::vector<float> masks;                        ///< (objects, height, width): logits. Empty if a buffer was given.
};

/// Tracks objects through a video. See ::sam2_video_predictor.
class video_predictor : public detail::handle<sam2_video_predictor, sam2_video_predictor_destroy> {
  public:
    using handle::handle;

    /// Opens a folder of frames or a video file.
    static result<video_predictor> open(
        const model& m, const std::string& path, const sam2_video_predictor_options& options = SAM2_VIDEO_PREDICTOR_OPTIONS_INIT) {
        sam2_video_predictor* p = nullptr;
        auto status = sam2_video_predictor_open(m.get(), path.c_str(), &options, &p);
        return detail::give<video_predictor>(status, [&] { return video_predictor(p); });
    }
    /// Creates a predictor for a live stream of unknown length.
    static result<video_predictor> create_stream(
        const model& m, const sam2_video_predictor_options& options = SAM2_VIDEO_PREDICTOR_OPTIONS_INIT) {
        sam2_video_predictor* p = nullptr;
        auto status = sam2_video_predictor_create_stream(m.get(), &options, &p);
        return detail::give<video_predictor>(status, [&] { return video_predictor(p); });
    }
    /// Forks the predictor. See sam2_video_predictor_fork().
    result<video_predictor> fork() const {
        sam2_video_predictor* p = nullptr;
        auto status = sam2_video_predictor_fork(get(), &p);
        return detail::give<video_predictor>(status, [&] { return video_predictor(p); });
    }
    /// Adds points or a box for an object on a frame. See sam2_video_predictor_add_new_points_or_box().
    result<frame_masks> add_new_points_or_box(
        std::uint64_t frame_idx, std::int64_t obj_id, const prompt& p, sam2_prompt_flags flags = 0,
        const sam2_mask_buffer* masks = nullptr) {
        if (p.mask.size()) return detail::wrong<frame_masks>("a mask is given by add_new_mask");
        detail::flat_prompt flat(p);
        return one([&](sam2_frame_callback on_frame, void* user) {
            return sam2_video_predictor_add_new_points_or_box(
                get(), frame_idx, obj_id, &flat.c, flags, masks, on_frame, user);
        });
    }
    /// Sets the mask of an object on a frame: (height, width), nonzero on the object.
    result<frame_masks> add_new_mask(
        std::uint64_t frame_idx, std::int64_t obj_id, const std::uint8_t* mask, std::uint32_t width, std::uint32_t height,
        const sam2_mask_buffer* masks = nullptr) {
        return one([&](sam2_frame_callback on_frame, void* user) {
            return sam2_video_predictor_add_new_mask(
                get(), frame_idx, obj_id, mask, width, height, masks, on_frame, user);
        });
    }
    /// Removes the prompts for an object on a frame.
    result<frame_masks> clear_all_prompts_in_frame(
        std::uint64_t frame_idx, std::int64_t obj_id, const sam2_mask_buffer* masks = nullptr) {
        return one([&](sam2_frame_callback on_frame, void* user) {
            return sam2_video_predictor_clear_all_prompts_in_frame(get(), frame_idx, obj_id, masks, on_frame, user);
        });
    }
    /// Removes an object.
    result<void> remove_object(std::int64_t obj_id) {
        return detail::done(sam2_video_predictor_remove_object(get(), obj_id));
    }
    /// Removes all objects.
    result<void> reset_state() { return detail::done(sam2_video_predictor_reset_state(get())); }

    /// Tracks all objects through the video. `on_frame(frame)` receives the results of each frame and returns whether
    /// to continue. Ending the call in this way is not an error. See sam2_video_predictor_propagate_in_video().
    template <class F>
    result<void> propagate_in_video(
        F on_frame, std::int64_t start_frame_idx = -1, std::int64_t max_frame_num_to_track = -1, bool reverse = false,
        const sam2_mask_buffer* masks = nullptr) {
        visit<F> v{on_frame};
        auto status = sam2_video_predictor_propagate_in_video(
            get(), start_frame_idx, max_frame_num_to_track, reverse, masks, visit<F>::call, &v);
        v.held.release();
        return detail::done(v.ended && status == SAM2_ERROR_CANCELLED ? SAM2_OK : status);
    }
    /// Ends the propagation that another thread runs.
    result<void> cancel() const { return detail::done(sam2_video_predictor_cancel(get())); }

    /// Passes the next frame to a stream. `masks` may be a buffer for its masks.
    result<frame_masks> push_frame(const sam2_image& image, const sam2_mask_buffer* masks = nullptr) {
        return one([&](sam2_frame_callback on_frame, void* user) {
            return sam2_video_predictor_push_frame(get(), &image, masks, on_frame, user);
        });
    }
    /// Starts push_frame() as a job. The pixels and the buffer must remain valid until it ends.
    result<job<frame_masks>> push_frame_async(const sam2_image& image, const sam2_mask_buffer* masks = nullptr) {
        auto out = std::make_unique<detail::kept<frame_masks>>();
        sam2_job* j = nullptr;
        auto status = sam2_video_predictor_push_frame_async(get(), &image, masks, keep, nullptr, out.get(), &j);
        return detail::give<job<frame_masks>>(status, [&] { return job<frame_masks>(j, std::move(out)); });
    }
    /// Passes images[i] to videos[i], for several streams at once.
    static result<std::vector<frame_masks>> push_frames(span<video_predictor* const> videos, span<const sam2_image> images) {
        if (videos.size() != images.size()) return detail::wrong<std::vector<frame_masks>>("an image for each video");
        std::vector<detail::kept<frame_masks>> all(videos.size());
        std::vector<frame_masks> out(videos.size());
        std::vector<sam2_video_push> pushes(videos.size(), SAM2_VIDEO_PUSH_INIT);
        for (std::size_t i = 0; i < videos.size(); i++) {
            pushes[i].video = videos[i]->get(), pushes[i].image = &images[i];
            pushes[i].on_frame = keep, pushes[i].user = &all[i];
        }
        auto status = sam2_video_predictor_push_frames(pushes.data(), pushes.size());
        for (std::size_t i = 0; i < all.size(); i++) all[i].held.release(), out[i] = std::move(all[i].value);
        return detail::give<std::vector<frame_masks>>(status, [&] { return std::move(out); });
    }
    /// Allocates memory and does one-time work in advance. See sam2_video_predictor_reserve().
    result<void> reserve(std::uint32_t num_objects, std::uint32_t width, std::uint32_t height) {
        return detail::done(sam2_video_predictor_reserve(get(), num_objects, width, height));
    }
    /// Gets the ids of the objects, in the order of their masks.
    result<std::vector<std::int64_t>> obj_ids() const {
        std::size_t count = 0;
        auto status = sam2_video_predictor_get_obj_ids(get(), nullptr, &count);
        std::vector<std::int64_t> ids(count);
        if (status == SAM2_OK && count) status = sam2_video_predictor_get_obj_ids(get(), ids.data(), &count);
        return detail::give<std::vector<std::int64_t>>(status, [&] { return std::move(ids); });
    }
    /// Describes the state of the predictor.
    result<sam2_video_predictor_info> info() const {
        sam2_video_predictor_info info = SAM2_VIDEO_PREDICTOR_INFO_INIT;
        return detail::give<sam2_video_predictor_info>(sam2_video_predictor_get_info(get(), &info), [&] { return info; });
    }
    /// Saves the state of all objects.
    result<std::vector<std::uint8_t>> save_state() const {
        using bytes = detail::kept<std::vector<std::uint8_t>>;
        bytes out;
        auto append = [](void* user, const std::uint8_t* data, std::size_t size) -> std::int32_t {
            auto* to = static_cast<bytes*>(user);
            return to->held.run([&] { return to->value.insert(to->value.end(), data, data + size), 0; });
        };
        auto status = sam2_video_predictor_save_state(get(), append, &out);
        out.held.release();
        return detail::give<std::vector<std::uint8_t>>(status, [&] { return std::move(out.value); });
    }
    /// Replaces the state with a saved one.
    result<void> load_state(span<const std::uint8_t> state) {
        return detail::done(sam2_video_predictor_load_state(get(), state.data(), state.size()));
    }

  private:
    static frame_masks copy(const sam2_frame& f) {
        std::size_t n = f.num_objects, pixels = n * f.width * f.height;
        frame_masks out;
        out.frame_idx = f.frame_idx, out.width = f.width, out.height = f.height, out.timestamp = f.timestamp;
        out.obj_ids.assign(f.obj_ids, f.obj_ids + n);
        out.object_score_logits.assign(f.object_score_logits, f.object_score_logits + n);
        out.lost.assign(f.lost, f.lost + n);
        out.areas.assign(f.areas, f.areas + n);
        for (std::size_t i = 0; i < n; i++) {
            const std::int32_t* at = f.boxes + 4 * i;
            out.boxes.push_back({at[0], at[1], at[2], at[3]});
        }
        if (f.masks) out.masks.assign(f.masks, f.masks + pixels);
        return out;
    }
    static std::int32_t keep(void* user, const sam2_frame* f) {
        auto* to = static_cast<detail::kept<frame_masks>*>(user);
        return to->held.run([&] { return to->value = copy(*f), 0; });
    }
    // Makes a call that returns one frame.
    template <class F> static result<frame_masks> one(F call) {
        detail::kept<frame_masks> out;
        auto status = call(keep, &out);
        out.held.release();
        return detail::give<frame_masks>(status, [&] { return std::move(out.value); });
    }
    template <class F> struct visit {
        F& on_frame;
        bool ended = false;
        detail::guard held = {};

        static std::int32_t call(void* user, const sam2_frame* f) {
            auto* v = static_cast<visit*>(user);
            return v->held.run([&] { return v->ended = !v->on_frame(copy(*f)); });
        }
    };
};

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#undef SAM2_CPP_UNWINDS_
#undef SAM2_CPP_FORM_

#endif
