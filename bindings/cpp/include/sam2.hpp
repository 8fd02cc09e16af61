// sam2 for C++17: what sam2.h declares, with objects that clean up after themselves. Apache-2.0.
//
// Calls return a sam2::result, which holds a value or an error; or, where SAM2_CPP_EXCEPTIONS is defined before this header
// is included, the value itself, and throw sam2::failure. Objects are moved, never copied; what sam2.h says of threads,
// memory and units holds here.
//
// What a function throws that the library calls ends that call, and is thrown again where the call was made; of a job, by
// job::wait and job::get.
//
// The names are in an inline namespace for each form of the header, so that objects that were compiled in different forms
// may be linked into one program. An object in one form does not pass to functions of another: that does not link.
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

// Why a call failed.
struct error {
    sam2_status status;  // SAM2_ERROR_...
    std::string message;
    int number = 0;  // of errno.h, where the system refused a file: ENOENT; else 0
};

namespace detail {
// Of the last call of this thread that failed.
inline error last_error(sam2_status status) {
    return {status, sam2_last_error(), sam2_last_errno()};
}
}  // namespace detail

// Some values that are somebody else's, as a vector or an array has them.
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
// The end of a result that is read wrongly.
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

template <class T> using result = T;

namespace detail {
template <class T, class F> T give(sam2_status status, F value) {
    if (status != SAM2_OK) throw failure(last_error(status));
    return value();
}
}  // namespace detail

#else

namespace detail {
// What all results have.
template <class T> class result_base {
  public:
    bool has_value() const noexcept { return all_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }
    // Only of one that failed.
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

// A value, or why there is none. Whoever reads the value of one that failed gets a sam2::failure thrown; or, where the
// compiler's exceptions are off, the program says why and aborts.
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

// An error found before a call is made.
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

// Nothing may be thrown through the library: what a callback throws is held while the call ends.
class guard {
  public:
    // What `work` returns to the library: 0 to go on. Once something was thrown it is not called.
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
    // After the call: throws what is held.
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

// What a callback of the library makes, and whoever throws meanwhile.
template <class T> struct kept {
    T value{};
    guard held{};
};
template <> struct kept<void> {
    guard held{};
};

// A handle that is destroyed once.
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
    // For calls of sam2.h; it stays this object's.
    T* get() const { return p_; }

  private:
    T* p_;
};

}  // namespace detail

// A model's weights on a device.
class model : public detail::handle<sam2_model, sam2_model_destroy> {
  public:
    using handle::handle;

    static result<model> load(const std::string& path, const sam2_model_options& options = SAM2_MODEL_OPTIONS_INIT) {
        sam2_model* p = nullptr;
        return detail::give<model>(sam2_model_load(path.c_str(), &options, &p), [&] { return model(p); });
    }
    // Of a checkpoint in memory, which is not needed after the call.
    static result<model> load_memory(
        span<const std::uint8_t> data, const sam2_model_options& options = SAM2_MODEL_OPTIONS_INIT) {
        sam2_model* p = nullptr;
        return detail::give<model>(
            sam2_model_load_memory(data.data(), data.size(), &options, &p), [&] { return model(p); });
    }
    // Of part of an open file; 0 bytes: to its end.
    static result<model> load_fd(
        int fd, std::uint64_t offset = 0, std::uint64_t size = 0,
        const sam2_model_options& options = SAM2_MODEL_OPTIONS_INIT) {
        sam2_model* p = nullptr;
        return detail::give<model>(sam2_model_load_fd(fd, offset, size, &options, &p), [&] { return model(p); });
    }
    static result<model> load(span<const std::uint8_t> checkpoint, const sam2_model_options& options = SAM2_MODEL_OPTIONS_INIT) {
        sam2_model* p = nullptr;
        auto status = sam2_model_load_memory(checkpoint.data(), checkpoint.size(), &options, &p);
        return detail::give<model>(status, [&] { return model(p); });
    }
    result<sam2_model_info> info() const {
        sam2_model_info info = SAM2_MODEL_INFO_INIT;
        return detail::give<sam2_model_info>(sam2_model_get_info(get(), &info), [&] { return info; });
    }
};

// A GPU of this machine.
inline result<std::vector<sam2_gpu_info>> gpus() {
    std::uint32_t count = 0;
    std::vector<sam2_gpu_info> all;
    auto status = sam2_gpu_count(&count);
    for (std::uint32_t i = 0; i < count && status == SAM2_OK; i++) {
        all.push_back(SAM2_GPU_INFO_INIT);
        status = sam2_gpu_get_info(i, &all.back());
    }
    return detail::give<std::vector<sam2_gpu_info>>(status, [&] { return std::move(all); });
}

// A decoded picture file.
class picture : public detail::handle<sam2_picture, sam2_picture_destroy> {
  public:
    using handle::handle;

    // PNG, JPEG, WebP, BMP, TIFF, GIF or PNM; `options` turn it upright, or say how many bits 16-bit values have.
    static result<picture> read(const std::string& path, const sam2_picture_options& options = SAM2_PICTURE_OPTIONS_INIT) {
        sam2_picture* p = nullptr;
        return detail::give<picture>(sam2_picture_read_with(path.c_str(), &options, &p), [&] { return picture(p); });
    }
    // Describes it; its pixels are there as long as this object.
    result<sam2_image> image() const {
        sam2_image image = SAM2_IMAGE_INIT;
        return detail::give<sam2_image>(sam2_picture_get_image(get(), &image), [&] { return image; });
    }
};

struct point {
    float x, y;
    std::int32_t label = 1;  // 1 on the object, 0 not
};

struct box {
    float left, top, right, bottom;
};

// What a person says about an object.
struct prompt {
    std::vector<point> points;
    std::optional<sam2::box> box;
    span<const float> mask_input;  // logits of an earlier mask, (mask_side, mask_side), or empty; pictures only
    std::uint32_t image = 0;       // which picture of a batch it is for
    // A mask of the picture in place of `mask_input`, (mask_height, mask_width), of any size: not 0 on the object; or empty.
    span<const std::uint8_t> mask;
    std::uint32_t mask_width = 0, mask_height = 0;
    // Without points, an empty list of points is given, as the reference's point_coords of shape (0, 2).
    bool pad_points = false;
};

namespace detail {
// A prompt as sam2.h takes it.
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
        c.box_ = box_.empty() ? nullptr : box_.data();
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

// Masks of some prompts, `n` per prompt.
struct prediction {
    std::size_t n = 0;
    std::vector<std::uint8_t> masks;     // (prompts, n, height, width): 1 on the object
    std::vector<float> iou_predictions;  // (prompts, n)
    std::vector<float> low_res_masks;    // (prompts, n, mask_side, mask_side)
    std::vector<float> object_scores;    // (prompts)
};

// A call that goes on while its caller does something else, and what it makes. Destroyed, it waits for the end.
template <class T = void> class job {
  public:
    // Of a job of the library whose callbacks write to `out`.
    job(sam2_job* p, std::unique_ptr<detail::kept<T>> out) : out_(std::move(out)), handle_(p) {}
    job(job&&) noexcept = default;
    job& operator=(job&& other) noexcept {
        std::swap(out_, other.out_), std::swap(handle_, other.handle_);
        return *this;
    }

    // Waits at most so long; whether it has ended. A failure of the call is one here.
    result<bool> wait(std::uint64_t milliseconds = SAM2_WAIT_FOREVER) const {
        auto how = ended(milliseconds);
        if (how == SAM2_ERROR_BUSY) return false;
        return detail::give<bool>(how, [] { return true; });
    }
    // Waits for the end, and hands over what was made, once.
    result<T> get() {
        return detail::give<T>(ended(SAM2_WAIT_FOREVER), [&] {
            if constexpr (!std::is_void_v<T>) return std::move(out_->value);
        });
    }

  private:
    // How it ended, and what its callbacks threw; SAM2_ERROR_BUSY: it has not.
    sam2_status ended(std::uint64_t milliseconds) const {
        sam2_status how = SAM2_OK;
        auto status = sam2_job_wait(handle_.get(), milliseconds, &how);
        if (status != SAM2_OK) return status;
        out_->held.release();
        return how;
    }
    // Destroyed after the handle, whose end waits for the job.
    std::unique_ptr<detail::kept<T>> out_;
    detail::handle<sam2_job, sam2_job_destroy> handle_;
};

// A tensor of DLPack's, which is deleted by its own deleter: include dlpack.h before this header to look into it.
#ifdef DLPACK_DLPACK_H_
struct tensor_deleter {
    void operator()(DLManagedTensorVersioned* t) const { t->deleter(t); }
};
using tensor = std::unique_ptr<DLManagedTensorVersioned, tensor_deleter>;

// Memory for masks, (dims...), SAM2_MASK_... in SAM2_MEMORY_...
inline result<tensor> make_tensor(const model& m, std::int32_t kind, std::int32_t memory, span<const std::int64_t> dims) {
    DLManagedTensorVersioned* t = nullptr;
    auto status = sam2_tensor_create(m.get(), kind, memory, dims.data(), static_cast<std::uint32_t>(dims.size()), &t);
    return detail::give<tensor>(status, [&] { return tensor(t); });
}
#endif

// Describes a tensor of DLPack's, which stays its owner's.
inline result<sam2_image> image_from_dlpack(const DLManagedTensorVersioned* t) {
    sam2_image image = SAM2_IMAGE_INIT;
    return detail::give<sam2_image>(sam2_image_from_dlpack(t, &image), [&] { return image; });
}
inline result<sam2_mask_buffer> mask_buffer_from_dlpack(const DLManagedTensorVersioned* t) {
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    return detail::give<sam2_mask_buffer>(sam2_mask_buffer_from_dlpack(t, &buffer), [&] { return buffer; });
}

// A mask as the text of COCO's run lengths, and back.
inline result<std::string> encode_rle(span<const std::uint8_t> mask, std::uint32_t width, std::uint32_t height) {
    if (mask.size() != std::size_t(width) * height) return detail::wrong<std::string>("a mask of another size");
    std::size_t size = 0;
    auto status = sam2_mask_encode_rle(mask.data(), width, height, nullptr, &size);
    std::string text(size, 0);
    if (status == SAM2_OK) status = sam2_mask_encode_rle(mask.data(), width, height, text.data(), &size);
    return detail::give<std::string>(status, [&] { return text.pop_back(), std::move(text); });
}
inline result<std::vector<std::uint8_t>> decode_rle(const std::string& text, std::uint32_t width, std::uint32_t height) {
    std::vector<std::uint8_t> mask(std::size_t(width) * height);
    auto status = sam2_mask_decode_rle(text.c_str(), width, height, mask.data());
    return detail::give<std::vector<std::uint8_t>>(status, [&] { return std::move(mask); });
}

// Masks, as the texts of COCO's run lengths, in one map (height, width): 0 where there is none, else 1 + a mask's place; the
// largest below, of equals the first on top.
inline result<std::vector<std::uint16_t>> label_map(
    span<const std::string> masks, std::uint32_t width, std::uint32_t height) {
    std::vector<const char*> texts;
    for (const std::string& text : masks) texts.push_back(text.c_str());
    std::vector<std::uint16_t> labels(std::size_t(width) * height);
    auto status = sam2_mask_label_map(texts.data(), texts.size(), width, height, labels.data());
    return detail::give<std::vector<std::uint16_t>>(status, [&] { return std::move(labels); });
}

// Corners (x, y) of an outline, the first not repeated.
using ring = std::vector<std::array<std::uint32_t, 2>>;

// The outlines of a mask, as the text of COCO's run lengths, along the edges of its pixels: clockwise around what is on the
// object, the other way around holes. Filled by the even-odd rule they are the mask.
inline result<std::vector<ring>> polygons(const std::string& text, std::uint32_t width, std::uint32_t height) {
    std::size_t corners = 0, rings = 0;
    auto status = sam2_mask_polygons(text.c_str(), width, height, nullptr, &corners, nullptr, &rings);
    std::vector<std::uint32_t> points(2 * corners + 1), sizes(rings + 1);
    if (status == SAM2_OK)
        status = sam2_mask_polygons(text.c_str(), width, height, points.data(), &corners, sizes.data(), &rings);
    return detail::give<std::vector<ring>>(status, [&] {
        std::vector<ring> all(rings);
        const std::uint32_t* at = points.data();
        for (std::size_t i = 0; i < rings; i++)
            for (std::uint32_t k = 0; k < sizes[i]; k++, at += 2) all[i].push_back({at[0], at[1]});
        return all;
    });
}

// Encodes pictures, then makes masks for prompts on them.
class image_predictor : public detail::handle<sam2_image_predictor, sam2_image_predictor_destroy> {
  public:
    static result<image_predictor> create(
        const model& m, const sam2_image_predictor_options& options = SAM2_IMAGE_PREDICTOR_OPTIONS_INIT) {
        sam2_image_predictor* p = nullptr;
        sam2_model_info info = SAM2_MODEL_INFO_INIT;
        auto status = sam2_model_get_info(m.get(), &info);
        if (status == SAM2_OK) status = sam2_image_predictor_create(m.get(), &options, &p);
        return detail::give<image_predictor>(status, [&] { return image_predictor(p, info.mask_side); });
    }
    result<void> reserve(std::uint32_t max_points, bool mask_input, std::uint32_t images = 1) {
        return detail::done(sam2_image_predictor_reserve(get(), images, max_points, mask_input));
    }
    result<void> set_image(const sam2_image& image) { return set_image_batch({&image, 1}); }
    // Several pictures, of any sizes; a prompt says by its `image` which it is for.
    result<void> set_image_batch(span<const sam2_image> images) {
        auto pixels = sizes(images);
        auto status = sam2_image_predictor_set_image_batch(get(), images.data(), images.size());
        if (status == SAM2_OK) pixels_ = std::move(pixels);
        return detail::done(status);
    }
    // As a job: the pictures are there until it has ended.
    result<job<>> set_image_async(span<const sam2_image> images) {
        // Nothing is allocated once the job goes on.
        auto pixels = sizes(images);
        auto out = std::make_unique<detail::kept<void>>();
        sam2_job* j = nullptr;
        auto status = sam2_image_predictor_set_image_async(get(), images.data(), images.size(), nullptr, nullptr, &j);
        if (status == SAM2_OK) pixels_ = std::move(pixels);
        return detail::give<job<>>(status, [&] { return job<>(j, std::move(out)); });
    }
    result<void> reset() { return detail::done(sam2_image_predictor_reset(get())); }
    // (channels, height, width) of SAM2_FEATURE_...
    struct features {
        std::uint32_t shape[3];
        std::vector<float> values;
    };
    result<features> get_features(std::int32_t feature = SAM2_FEATURE_IMAGE_EMBEDDING, std::uint32_t image = 0) {
        features out{};
        auto status = sam2_image_predictor_get_features(get(), feature, image, nullptr, 0, out.shape);
        out.values.resize(std::size_t(out.shape[0]) * out.shape[1] * out.shape[2]);
        if (status == SAM2_OK)
            status = sam2_image_predictor_get_features(
                get(), feature, image, out.values.data(), out.values.size(), out.shape);
        return detail::give<features>(status, [&] { return std::move(out); });
    }
    result<sam2_image_predictor_info> info(std::uint32_t image = 0) const {
        sam2_image_predictor_info info = SAM2_IMAGE_PREDICTOR_INFO_INIT;
        auto status = sam2_image_predictor_get_info(get(), image, &info);
        return detail::give<sam2_image_predictor_info>(status, [&] { return info; });
    }
    // Three masks per prompt with `multimask`, else one.
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
    result<prediction> predict(std::initializer_list<prompt> prompts, bool multimask = true) {
        return predict(span<const prompt>(prompts.begin(), prompts.size()), multimask);
    }
    result<prediction> predict(const prompt& said, bool multimask = true) {
        return predict(span<const prompt>(&said, 1), multimask);
    }
    // As predict, with the masks in a buffer, which may be in a GPU's memory, or of another kind.
    result<prediction> predict_into(span<const prompt> prompts, const sam2_mask_buffer& buffer, bool multimask = true) {
        for (const prompt& p : prompts) {
            if (p.mask_input.size() && p.mask_input.size() != mask_side_ * mask_side_)
                return detail::wrong<prediction>(
                    "mask_input: logits of an earlier mask, (mask_side, mask_side), are expected; a mask of the picture is `mask`");
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
        out.object_scores.resize(prompts.size());
        auto status = sam2_image_predictor_predict(
            get(), list.data(), list.size(), multimask ? SAM2_PREDICT_MULTIMASK : 0, &buffer, out.iou_predictions.data(),
            out.low_res_masks.data(), out.object_scores.data());
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

// A mask that was found without being asked for.
struct automatic_mask {
    std::uint32_t width = 0, height = 0;  // of the picture
    float predicted_iou = 0, stability_score = 0;
    std::array<float, 4> bbox{}, crop_box{};  // left, top, width, height
    point point_coords{};                     // that found it
    std::uint64_t area = 0;                   // pixels
    std::string rle;                          // for decode_rle, label_map and polygons
};

// What was found in a picture.
struct automatic_masks {
    std::vector<automatic_mask> masks;  // best first
    bool complete = false;              // everything was looked at
};

// Finds everything in pictures.
class automatic_mask_generator
    : public detail::handle<sam2_automatic_mask_generator, sam2_automatic_mask_generator_destroy> {
  public:
    using handle::handle;

    // `point_grids`: instead of points_per_side, which is 0 then, x and y of points in 0..1, for the picture and for each layer
    // of crops.
    static result<automatic_mask_generator> create(
        const model& m, sam2_automatic_mask_options options = SAM2_AUTOMATIC_MASK_OPTIONS_INIT,
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
    // Masks, best first.
    result<std::vector<automatic_mask>> generate(const sam2_image& image) {
        auto on = [](std::uint64_t, std::uint64_t, std::uint64_t) { return true; };
        search<decltype(on)> s{on};
        auto status = s.run(get(), image, SAM2_WAIT_FOREVER);
        return detail::give<std::vector<automatic_mask>>(status, [&] { return std::move(s.found.masks); });
    }
    // The best of what is found in so many milliseconds, or until `progress(points, of, masks)` returns false: it is told after
    // every batch of points how many were looked at, of how many, and the masks found so far.
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

        static std::int32_t on_the_way(void* user, std::uint64_t points, std::uint64_t of, std::uint64_t masks) {
            auto* s = static_cast<search*>(user);
            return s->held.run([&] { return !s->progress(points, of, masks); });
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
                sam2_automatic_mask_generator_generate(g, &image, milliseconds, on_the_way, keep, this, &complete);
            held.release();
            found.complete = complete != 0;
            return status;
        }
    };
};

// What was found on a frame.
struct frame_masks {
    std::uint64_t frame_idx = 0;
    std::uint32_t width = 0, height = 0;
    std::int64_t timestamp = 0;  // of the picture that was pushed
    std::vector<std::int64_t> object_ids;
    std::vector<float> scores;             // above 0 where the object is to be seen
    std::vector<std::uint8_t> lost;        // 1 where it is not
    std::vector<std::array<std::int32_t, 4>> boxes;  // left, top, right, bottom of the outermost pixels
    std::vector<std::uint64_t> areas;      // pixels
    std::vector<float> masks;              // (objects, height, width): logits; empty where they went to a buffer
};

// Follows objects through a video.
class video_predictor : public detail::handle<sam2_video_predictor, sam2_video_predictor_destroy> {
  public:
    using handle::handle;

    static result<video_predictor> open(
        const model& m, const std::string& path, const sam2_video_options& options = SAM2_VIDEO_OPTIONS_INIT) {
        sam2_video_predictor* p = nullptr;
        auto status = sam2_video_predictor_open(m.get(), path.c_str(), &options, &p);
        return detail::give<video_predictor>(status, [&] { return video_predictor(p); });
    }
    static result<video_predictor> stream(const model& m, const sam2_video_options& options = SAM2_VIDEO_OPTIONS_INIT) {
        sam2_video_predictor* p = nullptr;
        auto status = sam2_video_predictor_stream(m.get(), &options, &p);
        return detail::give<video_predictor>(status, [&] { return video_predictor(p); });
    }
    result<video_predictor> fork() const {
        sam2_video_predictor* p = nullptr;
        auto status = sam2_video_predictor_fork(get(), &p);
        return detail::give<video_predictor>(status, [&] { return video_predictor(p); });
    }
    result<frame_masks> add_new_points_or_box(
        std::uint64_t frame_idx, std::int64_t object_id, const prompt& said, std::uint32_t flags = 0,
        const sam2_mask_buffer* masks = nullptr) {
        if (said.mask.size()) return detail::wrong<frame_masks>("a mask is given by add_new_mask");
        detail::flat_prompt flat(said);
        return one([&](sam2_frame_callback each, void* user) {
            return sam2_video_predictor_add_new_points_or_box(
                get(), frame_idx, object_id, &flat.c, flags, masks, each, user);
        });
    }
    result<frame_masks> add_new_mask(
        std::uint64_t frame_idx, std::int64_t object_id, const std::uint8_t* mask, std::uint32_t width, std::uint32_t height,
        const sam2_mask_buffer* masks = nullptr) {
        return one([&](sam2_frame_callback each, void* user) {
            return sam2_video_predictor_add_new_mask(
                get(), frame_idx, object_id, mask, width, height, masks, each, user);
        });
    }
    result<frame_masks> clear_all_prompts_in_frame(
        std::uint64_t frame_idx, std::int64_t object_id, const sam2_mask_buffer* masks = nullptr) {
        return one([&](sam2_frame_callback each, void* user) {
            return sam2_video_predictor_clear_all_prompts_in_frame(get(), frame_idx, object_id, masks, each, user);
        });
    }
    result<void> remove_object(std::int64_t object_id) {
        return detail::done(sam2_video_predictor_remove_object(get(), object_id));
    }
    result<void> reset_state() { return detail::done(sam2_video_predictor_reset_state(get())); }

    // `each(frame)` gets the masks frame by frame and returns whether to go on; ending so is no error.
    template <class F>
    result<void> propagate_in_video(
        F each, std::int64_t start = -1, std::int64_t count = -1, bool reverse = false,
        const sam2_mask_buffer* masks = nullptr) {
        visit<F> v{each};
        auto status = sam2_video_predictor_propagate_in_video(get(), start, count, reverse, masks, visit<F>::call, &v);
        v.held.release();
        return detail::done(v.ended && status == SAM2_ERROR_CANCELLED ? SAM2_OK : status);
    }
    // Ends a propagation in progress, from another thread.
    result<void> cancel() const { return detail::done(sam2_video_predictor_cancel(get())); }

    // The next frame of a stream; `masks`: a buffer for its masks, which may be in a GPU's memory.
    result<frame_masks> push_frame(const sam2_image& image, const sam2_mask_buffer* masks = nullptr) {
        return one([&](sam2_frame_callback each, void* user) {
            return sam2_video_predictor_push_frame(get(), &image, masks, each, user);
        });
    }
    // As a job, which has what is found: picture and buffer are there until it has ended.
    result<job<frame_masks>> push_frame_async(const sam2_image& image, const sam2_mask_buffer* masks = nullptr) {
        auto out = std::make_unique<detail::kept<frame_masks>>();
        sam2_job* j = nullptr;
        auto status = sam2_video_predictor_push_frame_async(get(), &image, masks, keep, nullptr, out.get(), &j);
        return detail::give<job<frame_masks>>(status, [&] { return job<frame_masks>(j, std::move(out)); });
    }
    // Frames of several cameras: videos[i] gets images[i].
    static result<std::vector<frame_masks>> push_frames(span<video_predictor* const> videos, span<const sam2_image> images) {
        if (videos.size() != images.size()) return detail::wrong<std::vector<frame_masks>>("a picture for each video");
        std::vector<detail::kept<frame_masks>> all(videos.size());
        std::vector<frame_masks> out(videos.size());
        std::vector<sam2_push> pushes(videos.size(), SAM2_PUSH_INIT);
        for (std::size_t i = 0; i < videos.size(); i++) {
            pushes[i].video = videos[i]->get(), pushes[i].image = &images[i];
            pushes[i].each = keep, pushes[i].user = &all[i];
        }
        auto status = sam2_push_frames(pushes.data(), pushes.size());
        for (std::size_t i = 0; i < all.size(); i++) all[i].held.release(), out[i] = std::move(all[i].value);
        return detail::give<std::vector<frame_masks>>(status, [&] { return std::move(out); });
    }
    // Allocates, and does what is done once, before the first frame.
    result<void> reserve(std::uint32_t objects, std::uint32_t width, std::uint32_t height) {
        return detail::done(sam2_video_predictor_reserve(get(), objects, width, height));
    }
    result<std::vector<std::int64_t>> object_ids() const {
        std::size_t count = 0;
        auto status = sam2_video_predictor_get_object_ids(get(), nullptr, &count);
        std::vector<std::int64_t> ids(count);
        if (status == SAM2_OK && count) status = sam2_video_predictor_get_object_ids(get(), ids.data(), &count);
        return detail::give<std::vector<std::int64_t>>(status, [&] { return std::move(ids); });
    }
    result<sam2_video_info> info() const {
        sam2_video_info info = SAM2_VIDEO_INFO_INIT;
        return detail::give<sam2_video_info>(sam2_video_predictor_get_info(get(), &info), [&] { return info; });
    }
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
    result<void> load_state(span<const std::uint8_t> state) {
        return detail::done(sam2_video_predictor_load_state(get(), state.data(), state.size()));
    }

  private:
    static frame_masks copy(const sam2_frame& f) {
        std::size_t n = f.num_objects, pixels = n * f.width * f.height;
        frame_masks out;
        out.frame_idx = f.frame_idx, out.width = f.width, out.height = f.height, out.timestamp = f.timestamp;
        out.object_ids.assign(f.object_ids, f.object_ids + n);
        out.scores.assign(f.scores, f.scores + n);
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
    // A call that shows one frame.
    template <class F> static result<frame_masks> one(F call) {
        detail::kept<frame_masks> out;
        auto status = call(keep, &out);
        out.held.release();
        return detail::give<frame_masks>(status, [&] { return std::move(out.value); });
    }
    template <class F> struct visit {
        F& each;
        bool ended = false;
        detail::guard held = {};

        static std::int32_t call(void* user, const sam2_frame* f) {
            auto* v = static_cast<visit*>(user);
            return v->held.run([&] { return v->ended = !v->each(copy(*f)); });
        }
    };
};

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#undef SAM2_CPP_UNWINDS_
#undef SAM2_CPP_FORM_

#endif
