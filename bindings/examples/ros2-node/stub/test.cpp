// test MODEL FRAMES: passes images to the node and prints what it publishes: as steps.hpp, then with every encoding, then
// through the states of a lifecycle node.
#include "../sam2_ros/src/node.cpp"
#include "../sam2_ros/test/steps.hpp"

using sam2_ros::Sam2Node;

namespace {

struct World : steps::world {
    void image(const steps::Image& m) override {
        rclcpp::deliver("image", rclcpp::SensorDataQoS(), std::make_shared<const steps::Image>(m));
    }
    void click(const steps::Point& m) override {
        rclcpp::deliver("click", rclcpp::QoS(1), std::make_shared<const steps::Point>(m));
    }
    void wait(bool) override {}
    template <class S> typename S::Response call(const char* name, const typename S::Request& r) {
        auto response = std::make_shared<typename S::Response>();
        auto& all = rclcpp::Service<S>::all();
        if (all.count(name)) all.find(name)->second->call(std::make_shared<typename S::Request>(r), response);
        return *response;
    }
    steps::AddObjects::Response add_objects(const steps::AddObjects::Request& r) override {
        return call<steps::AddObjects>("~/add_objects", r);
    }
    steps::RemoveObject::Response remove_object(const steps::RemoveObject::Request& r) override {
        return call<steps::RemoveObject>("~/remove_object", r);
    }
    rclcpp::Subscription<steps::Image> labels{"labels", [this](steps::Image::ConstSharedPtr m) { last_labels = m; }};
    rclcpp::Subscription<steps::Detection2DArray> detections{
        "detections", [this](steps::Detection2DArray::ConstSharedPtr m) { last_detections = m; }};
};

rclcpp::NodeOptions with(const std::string& model) {
    rclcpp::NodeOptions options;
    return options.append_parameter_override("model", model).append_parameter_override("window", 3);
}

// Converts an image to another encoding: other orders of channels, or the green channel with neutral chroma.
steps::Image as(const steps::Image& m, const std::string& encoding) {
    steps::Image out = m;
    out.encoding = encoding, out.data.clear();
    std::string order = encoding == "rgb8" ? "012" : encoding == "bgr8" || encoding == "8UC3" ? "210"
                        : encoding == "rgba8" ? "0123" : encoding == "bgra8" ? "2103"
                        : encoding == "yuyv" || encoding == "yuv422_yuy2" ? "1-"
                        : encoding == "uyvy" || encoding == "yuv422" ? "-1" : "1";
    for (std::uint32_t y = 0; y < m.height; y++)
        for (std::uint32_t x = 0; x < m.width; x++)
            for (char c : order)
                out.data.push_back(c == '-' ? 128 : c == '3' ? 255 : m.data[y * m.step + x * 3 + std::size_t(c - '0')]);
    out.step = m.width * static_cast<std::uint32_t>(order.size());
    if (encoding == "nv12") out.data.resize(out.data.size() + (m.height + 1) / 2 * m.width, 128);
    return out;
}

void encodings(World& w, const std::string& model, const std::string& folder) {
    Sam2Node node(with(model));
    steps::Image first = steps::message(folder, 0);
    steps::Point click;
    click.x = 208, click.y = 249;
    steps::RemoveObject::Request everything;
    for (const char* name : {"rgb8", "bgr8", "8UC3", "rgba8", "bgra8", "mono8", "8UC1", "yuyv", "yuv422_yuy2", "uyvy", "yuv422",
                             "nv12"}) {
        w.image(as(first, name)), w.click(click), steps::print(w), w.remove_object(everything);
    }
    // Wrong messages publish nothing.
    w.click(click), w.last_labels.reset();
    steps::Image wrong = as(first, "rgb8");
    wrong.encoding = "bayer_rggb8", w.image(wrong);
    wrong.encoding = "rgb8", wrong.step--, w.image(wrong);
    wrong = as(first, "nv12"), wrong.data.pop_back(), w.image(wrong);
    wrong = as(first, "mono8"), wrong.step = 0, w.image(wrong);
    std::puts(w.last_labels ? "published" : "nothing");
    // An image of another size starts again.
    w.image(first), std::puts(w.last_labels ? "published" : "nothing");
    wrong = first, wrong.height /= 2, w.last_labels.reset(), w.image(wrong);
    std::puts(w.last_labels ? "published" : "nothing");
}

void states(World& w, const std::string& model, const std::string& folder) {
    rclcpp::NodeOptions options = with(model).append_parameter_override("autostart", false);
    Sam2Node node(options.append_parameter_override("label_encoding", std::string("mono16")));
    auto show = [&] {
        steps::AddObjects::Request r;
        steps::point(r, "cow", 208, 249);
        w.image(steps::message(folder, 0));
        auto reply = w.add_objects(r);
        // Without the service there is no reply.
        std::string what = reply.success ? "adds" : reply.message.empty() ? "silent" : reply.message;
        std::printf("%s: %s\n", node.get_current_state().label().c_str(), what.c_str());
    };
    show(), node.configure(), show(), node.activate(), show(), steps::print(w);
    node.deactivate(), show(), node.activate(), show(), node.deactivate(), node.cleanup(), show();
    // Parameters that are wrong leave the node unconfigured.
    std::map<std::string, rclcpp::Value> wrong = {
        {"model", std::string("/nowhere")},
        {"device", std::string("tpu")},
        {"label_encoding", std::string("rgb8")},
        {"window", -1},
    };
    for (const auto& [name, value] : wrong) {
        rclcpp::NodeOptions given = with(model);
        given.overrides[name] = value;
        std::printf("%s %s\n", name.c_str(), Sam2Node(given).get_current_state().label().c_str());
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    World w;
    {
        Sam2Node node(with(argv[1]));
        steps::run(w, argv[2]);
    }
    std::puts("encodings"), encodings(w, argv[1], argv[2]);
    std::puts("states"), states(w, argv[1], argv[2]);
}
