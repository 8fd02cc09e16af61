// sam2 for C++17: what sam2.h declares, with objects that clean up after themselves. Apache-2.0.
//
// Calls return a sam2::result, which holds a value or an error; or, where SAM2_CPP_EXCEPTIONS is defined before this header
// is included, the value itself, and throw sam2::failure. Objects are moved, never copied; what sam2.h says of threads,
// memory and units holds here.
#ifndef SAM2_HPP
#define SAM2_HPP

#include <sam2.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sam2 {

// Why a call failed.
struct error {
    sam2_status status;  // SAM2_ERROR_...
    std::string message;
};

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

#ifdef SAM2_CPP_EXCEPTIONS

class failure : public std::exception {
  public:
    explicit failure(error e) : error_(std::move(e)) {}
    const char* what() const noexcept override { return error_.message.c_str(); }
    sam2_status status() const noexcept { return error_.status; }

  private:
    error error_;
};

template <class T> using result = T;

namespace detail {
template <class T, class F> T give(sam2_status status, F value) {
    if (status != SAM2_OK) throw failure({status, sam2_last_error()});
    return value();
}
}  // namespace detail

#else

// A value, or why there is none.
template <class T> class [[nodiscard]] result {
  public:
    result(T value) : all_(std::in_place_index<0>, std::move(value)) {}
    result(sam2::error e) : all_(std::in_place_index<1>, std::move(e)) {}
    explicit operator bool() const { return all_.index() == 0; }
    // Only where there is one.
    T& operator*() & { return *std::get_if<0>(&all_); }
    T&& operator*() && { return std::move(*std::get_if<0>(&all_)); }
    T* operator->() { return std::get_if<0>(&all_); }
    const sam2::error& error() const { return *std::get_if<1>(&all_); }

  private:
    std::variant<T, sam2::error> all_;
};

template <> class [[nodiscard]] result<void> {
  public:
    result() = default;
    result(sam2::error e) : error_(std::move(e)) {}
    explicit operator bool() const { return !error_; }
    const sam2::error& error() const { return *error_; }

  private:
    std::optional<sam2::error> error_;
};

namespace detail {
template <class T, class F> result<T> give(sam2_status status, F value) {
    if (status != SAM2_OK) return error{status, sam2_last_error()};
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return value();
}
}  // namespace detail

#endif

namespace detail {

inline result<void> done(sam2_status status) {
    return give<void>(status, [] {});
}

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

// A decoded PNG or JPEG.
class picture : public detail::handle<sam2_picture, sam2_picture_destroy> {
  public:
    using handle::handle;

    static result<picture> read(const std::string& path) {
        sam2_picture* p = nullptr;
        return detail::give<picture>(sam2_picture_read(path.c_str(), &p), [&] { return picture(p); });
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
    span<const float> mask_input;  // (mask_side, mask_side), or empty; pictures only
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

// Encodes a picture, then makes masks for prompts on it.
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
    result<void> reserve(std::uint32_t max_points, bool mask_input) {
        return detail::done(sam2_image_predictor_reserve(get(), max_points, mask_input));
    }
    result<void> set_image(const sam2_image& image) {
        auto status = sam2_image_predictor_set_image(get(), &image);
        if (status == SAM2_OK) pixels_ = std::size_t(image.width) * image.height;
        return detail::done(status);
    }
    // Three masks per prompt with `multimask`, else one.
    result<prediction> predict(span<const prompt> prompts, bool multimask = true) {
        prediction out;
        out.n = multimask ? 3 : 1;
        std::vector<detail::flat_prompt> flat(prompts.begin(), prompts.end());
        std::vector<sam2_prompt> list;
        for (const auto& p : flat) list.push_back(p.c);
        std::size_t masks = prompts.size() * out.n;
        out.masks.resize(masks * pixels_);
        out.iou_predictions.resize(masks);
        out.low_res_masks.resize(masks * mask_side_ * mask_side_);
        out.object_scores.resize(prompts.size());
        sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
        buffer.data = out.masks.data(), buffer.size = out.masks.size();
        auto status = sam2_image_predictor_predict(
            get(), list.data(), list.size(), multimask ? SAM2_PREDICT_MULTIMASK : 0, &buffer, out.iou_predictions.data(),
            out.low_res_masks.data(), out.object_scores.data());
        return detail::give<prediction>(status, [&] { return std::move(out); });
    }

  private:
    image_predictor(sam2_image_predictor* p, std::size_t mask_side) : handle(p), mask_side_(mask_side) {}
    std::size_t mask_side_, pixels_ = 0;
};

// What was found on a frame.
struct frame_masks {
    std::uint64_t frame_idx = 0;
    std::uint32_t width = 0, height = 0;
    std::vector<std::int64_t> object_ids;
    std::vector<float> scores;  // above 0 where the object is to be seen
    std::vector<float> masks;   // (objects, height, width): logits
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
        std::uint64_t frame_idx, std::int64_t object_id, const prompt& said, std::uint32_t flags = 0) {
        frame_masks out;
        detail::flat_prompt flat(said);
        auto status =
            sam2_video_predictor_add_new_points_or_box(get(), frame_idx, object_id, &flat.c, flags, keep, &out);
        return detail::give<frame_masks>(status, [&] { return std::move(out); });
    }
    result<frame_masks> add_new_mask(
        std::uint64_t frame_idx, std::int64_t object_id, const std::uint8_t* mask, std::uint32_t height, std::uint32_t width) {
        frame_masks out;
        auto status =
            sam2_video_predictor_add_new_mask(get(), frame_idx, object_id, mask, height, width, keep, &out);
        return detail::give<frame_masks>(status, [&] { return std::move(out); });
    }
    result<frame_masks> clear_all_prompts_in_frame(std::uint64_t frame_idx, std::int64_t object_id) {
        frame_masks out;
        auto status = sam2_video_predictor_clear_all_prompts_in_frame(get(), frame_idx, object_id, keep, &out);
        return detail::give<frame_masks>(status, [&] { return std::move(out); });
    }
    result<void> remove_object(std::int64_t object_id) {
        return detail::done(sam2_video_predictor_remove_object(get(), object_id));
    }
    result<void> reset_state() { return detail::done(sam2_video_predictor_reset_state(get())); }

    // `each(frame)` gets the masks frame by frame and returns whether to go on; ending so is no error. What it throws comes
    // out of this call.
    template <class F>
    result<void> propagate_in_video(F each, std::int64_t start = -1, std::int64_t count = -1, bool reverse = false) {
        visit<F> v{each};
        auto status = sam2_video_predictor_propagate_in_video(get(), start, count, reverse, visit<F>::call, &v);
#ifdef SAM2_CPP_EXCEPTIONS
        if (v.thrown) std::rethrow_exception(v.thrown);
#endif
        return detail::done(v.ended && status == SAM2_ERROR_CANCELLED ? SAM2_OK : status);
    }
    // Ends a propagation in progress, from another thread.
    result<void> cancel() const { return detail::done(sam2_video_predictor_cancel(get())); }

    result<frame_masks> push_frame(const sam2_image& image) {
        frame_masks out;
        auto status = sam2_video_predictor_push_frame(get(), &image, nullptr, keep, &out);
        return detail::give<frame_masks>(status, [&] { return std::move(out); });
    }
    // As push_frame, with the masks in a buffer, which may be in a GPU's memory.
    result<frame_masks> push_frame_into(const sam2_image& image, const sam2_mask_buffer& masks) {
        frame_masks out;
        auto status = sam2_video_predictor_push_frame(get(), &image, &masks, keep, &out);
        return detail::give<frame_masks>(status, [&] { return std::move(out); });
    }
    result<sam2_video_info> info() const {
        sam2_video_info info = SAM2_VIDEO_INFO_INIT;
        return detail::give<sam2_video_info>(sam2_video_predictor_get_info(get(), &info), [&] { return info; });
    }
    result<std::vector<std::uint8_t>> save_state() const {
        std::vector<std::uint8_t> out;
        auto append = [](void* user, const std::uint8_t* data, std::size_t size) -> std::int32_t {
            auto* to = static_cast<std::vector<std::uint8_t>*>(user);
            to->insert(to->end(), data, data + size);
            return 0;
        };
        auto status = sam2_video_predictor_save_state(get(), append, &out);
        return detail::give<std::vector<std::uint8_t>>(status, [&] { return std::move(out); });
    }
    result<void> load_state(span<const std::uint8_t> state) {
        return detail::done(sam2_video_predictor_load_state(get(), state.data(), state.size()));
    }

  private:
    static frame_masks copy(const sam2_frame& f) {
        std::size_t n = f.num_objects, pixels = n * f.width * f.height;
        frame_masks out{f.frame_idx, f.width, f.height, {}, {}, {}};
        out.object_ids.assign(f.object_ids, f.object_ids + n);
        out.scores.assign(f.scores, f.scores + n);
        if (f.masks) out.masks.assign(f.masks, f.masks + pixels);
        return out;
    }
    static std::int32_t keep(void* user, const sam2_frame* f) {
        *static_cast<frame_masks*>(user) = copy(*f);
        return 0;
    }
    template <class F> struct visit {
        F& each;
        bool ended = false;
#ifdef SAM2_CPP_EXCEPTIONS
        std::exception_ptr thrown = nullptr;
        static std::int32_t call(void* user, const sam2_frame* f) {
            auto* v = static_cast<visit*>(user);
            try {
                v->ended = !v->each(copy(*f));
            } catch (...) {
                v->thrown = std::current_exception(), v->ended = true;
            }
            return v->ended;
        }
#else
        static std::int32_t call(void* user, const sam2_frame* f) {
            auto* v = static_cast<visit*>(user);
            v->ended = !v->each(copy(*f));
            return v->ended;
        }
#endif
    };
};

}  // namespace sam2

#endif
