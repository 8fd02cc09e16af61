// The node. See the README for its topics, services and parameters.
#include "image.hpp"
#include "tracker.hpp"

#include <geometry_msgs/msg/point.hpp>
#include <rclcpp/rclcpp.hpp>
#include <rclcpp_components/register_node_macro.hpp>
#include <rclcpp_lifecycle/lifecycle_node.hpp>
#include <sam2_ros_msgs/srv/add_objects.hpp>
#include <sam2_ros_msgs/srv/remove_object.hpp>
#include <sensor_msgs/msg/image.hpp>
#include <vision_msgs/msg/detection2_d_array.hpp>

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sam2_ros {

using geometry_msgs::msg::Point;
using sam2_ros_msgs::srv::AddObjects;
using sam2_ros_msgs::srv::RemoveObject;
using sensor_msgs::msg::Image;
using vision_msgs::msg::Detection2D;
using vision_msgs::msg::Detection2DArray;
using vision_msgs::msg::ObjectHypothesisWithPose;

// All callbacks are in the default callback group of the node, so they exclude each other.
class Sam2Node : public rclcpp_lifecycle::LifecycleNode {
  public:
    using Return = rclcpp_lifecycle::node_interfaces::LifecycleNodeInterface::CallbackReturn;

    explicit Sam2Node(const rclcpp::NodeOptions& options) : LifecycleNode("sam2", options) {
        declare_parameter<std::string>("model", "");
        declare_parameter<std::string>("device", "auto");
        declare_parameter<int>("device_index", 0);
        declare_parameter<int>("threads", 0);
        declare_parameter<int>("window", 0);
        declare_parameter<std::string>("image_encoding", "");
        declare_parameter<std::string>("label_encoding", "mono8");
        declare_parameter<bool>("autostart", true);
        // A node that fails to configure stays unconfigured, and says why in the log.
        if (get_parameter("autostart").as_bool() && configure().label() == "inactive") activate();
    }

    // Reads the parameters and loads the model.
    Return on_configure(const rclcpp_lifecycle::State&) override {
        sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
        std::string device = get_parameter("device").as_string();
        std::int64_t index = get_parameter("device_index").as_int(), threads = get_parameter("threads").as_int();
        std::int64_t window = get_parameter("window").as_int();
        image_encoding_ = get_parameter("image_encoding").as_string();
        label_encoding_ = get_parameter("label_encoding").as_string();
        if (device != "auto" && device != "cpu" && device != "cuda") return refuse("device: auto, cpu or cuda is expected");
        if (label_encoding_ != "mono8" && label_encoding_ != "mono16")
            return refuse("label_encoding: mono8 or mono16 is expected");
        std::int64_t most = std::numeric_limits<std::int32_t>::max();
        if (index < 0 || index > most || threads < 0 || threads > most || window < 0 || window > most)
            return refuse("device_index, threads or window is out of range");
        options.device = device == "cuda" ? SAM2_DEVICE_CUDA : device == "cpu" ? SAM2_DEVICE_CPU : SAM2_DEVICE_AUTO;
        options.device_index = static_cast<std::int32_t>(index), options.threads = static_cast<std::uint32_t>(threads);
        auto model = sam2::model::load(get_parameter("model").as_string(), options);
        if (!model) return refuse(model.error().message);
        tracker_.emplace(std::move(*model), static_cast<std::uint32_t>(window));
        labels_ = create_publisher<Image>("labels", rclcpp::QoS(1));
        detections_ = create_publisher<Detection2DArray>("detections", rclcpp::QoS(1));
        return Return::SUCCESS;
    }

    Return on_activate(const rclcpp_lifecycle::State& state) override {
        // The QoS of cameras, which reliable publishers match too. At most one image waits. Images that arrive during
        // tracking are dropped.
        auto qos = rclcpp::SensorDataQoS().keep_last(1);
        image_ = create_subscription<Image>("image", qos, [this](Image::ConstSharedPtr m) { on_image(*m); });
        click_ = create_subscription<Point>("click", rclcpp::QoS(8), [this](Point::ConstSharedPtr m) { on_click(*m); });
        add_ = create_service<AddObjects>(
            "~/add_objects", [this](std::shared_ptr<AddObjects::Request> from, std::shared_ptr<AddObjects::Response> to) {
                on_add(*from, *to);
            });
        remove_ = create_service<RemoveObject>(
            "~/remove_object", [this](std::shared_ptr<RemoveObject::Request> from, std::shared_ptr<RemoveObject::Response> to) {
                on_remove(*from, *to);
            });
        return LifecycleNode::on_activate(state);
    }

    Return on_deactivate(const rclcpp_lifecycle::State& state) override {
        image_.reset(), click_.reset(), add_.reset(), remove_.reset();
        return LifecycleNode::on_deactivate(state);
    }

    Return on_cleanup(const rclcpp_lifecycle::State&) override { return release(); }
    Return on_shutdown(const rclcpp_lifecycle::State&) override { return release(); }

  private:
    Return refuse(const std::string& why) {
        RCLCPP_ERROR(get_logger(), "%s", why.c_str());
        return Return::FAILURE;
    }

    Return release() {
        image_.reset(), click_.reset(), add_.reset(), remove_.reset(), labels_.reset(), detections_.reset();
        tracker_.reset();
        return Return::SUCCESS;
    }

    void warn(const sam2::error& e) { RCLCPP_WARN_THROTTLE(get_logger(), *get_clock(), 1000, "%s", e.message.c_str()); }

    void on_image(const Image& message) {
        auto image = to_image(message, image_encoding_);
        if (!image) return warn(image.error());
        auto found = tracker_->push(*image);
        if (!found) return warn(found.error());
        header_ = message.header;
        if (*found) publish(**found);
    }

    void on_click(const Point& at) {
        sam2::prompt prompt;
        prompt.points = {{static_cast<float>(at.x), static_cast<float>(at.y)}};
        auto found = tracker_->add(0, {{"click_" + std::to_string(++clicks_), prompt}});
        if (!found) return warn(found.error());
        publish(*found);
    }

    void on_add(const AddObjects::Request& from, AddObjects::Response& to) {
        std::vector<request> requests;
        to.message = collect(from, requests);
        if (to.message.empty()) {
            auto found = tracker_->add(nanoseconds(from.request_header.stamp), requests);
            to.success = static_cast<bool>(found);
            if (found) publish(*found);
            else to.message = found.error().message;
        }
        list(to);
    }

    // Groups the prompts of a message by their objects. Returns what is wrong with it.
    static std::string collect(const AddObjects::Request& from, std::vector<request>& to) {
        if (from.bbox_object_ids.size() != from.bbox_coords.size()) return "a box for each of bbox_object_ids is expected";
        if (from.point_object_ids.size() != from.point_coords.size()) return "a point for each of point_object_ids is expected";
        if (!from.point_labels.empty() && from.point_labels.size() != from.point_coords.size())
            return "no point_labels, or one for each point, are expected";
        auto prompt_of = [&to](const std::string& id) -> sam2::prompt& {
            for (request& r : to)
                if (r.id == id) return r.prompt;
            to.push_back({id, {}});
            return to.back().prompt;
        };
        for (std::size_t i = 0; i < from.bbox_coords.size(); i++) {
            const auto& b = from.bbox_coords[i];
            double left = b.center.position.x - b.size_x / 2, top = b.center.position.y - b.size_y / 2;
            prompt_of(from.bbox_object_ids[i]).box = sam2::box{
                static_cast<float>(left), static_cast<float>(top), static_cast<float>(left + b.size_x),
                static_cast<float>(top + b.size_y)};
        }
        for (std::size_t i = 0; i < from.point_coords.size(); i++) {
            const auto& p = from.point_coords[i];
            std::int32_t label = from.point_labels.empty() ? 1 : from.point_labels[i];
            prompt_of(from.point_object_ids[i]).points.push_back({static_cast<float>(p.x), static_cast<float>(p.y), label});
        }
        return "";
    }

    void on_remove(const RemoveObject::Request& from, RemoveObject::Response& to) {
        auto removed = from.object_id.empty() ? tracker_->remove_all() : tracker_->remove(from.object_id);
        to.success = static_cast<bool>(removed);
        if (!removed) to.message = removed.error().message;
        list(to);
    }

    template <class Response> void list(Response& to) const {
        for (const auto& [index, id] : tracker_->objects()) {
            to.object_ids.push_back(id);
            to.object_indices.push_back(static_cast<std::int32_t>(index));
        }
    }

    // Publishes the results of the latest image.
    void publish(const frame& f) {
        auto detections = std::make_unique<Detection2DArray>();
        detections->header = header_;
        // The values of the label map by the places of the objects.
        std::vector<std::uint16_t> values(f.objects.size() + 1);
        bool ids = label_encoding_ == "mono16";
        for (std::size_t i = 0; i < f.objects.size(); i++) {
            const object& o = f.objects[i];
            if (!o.visible) continue;
            detections->detections.push_back(detection(o));
            values[i + 1] = ids ? o.index : static_cast<std::uint16_t>(detections->detections.size());
        }
        if (!ids && detections->detections.size() > 255)
            return warn({SAM2_ERROR_INVALID_ARGUMENT, "mono8 holds 255 objects, so mono16 is needed"});
        auto labels = std::make_unique<Image>();
        labels->header = header_, labels->width = f.width, labels->height = f.height;
        labels->encoding = label_encoding_, labels->step = f.width * (ids ? 2 : 1);
        labels->data.reserve(std::size_t(labels->step) * f.height);
        for (std::uint16_t place : f.places) {
            labels->data.push_back(static_cast<std::uint8_t>(values[place]));
            // The low byte first, as is_bigendian says.
            if (ids) labels->data.push_back(static_cast<std::uint8_t>(values[place] >> 8));
        }
        labels_->publish(std::move(labels));
        detections_->publish(std::move(detections));
    }

    Detection2D detection(const object& o) const {
        Detection2D d;
        d.header = header_, d.id = o.id;
        d.bbox.size_x = o.box[2] - o.box[0] + 1, d.bbox.size_y = o.box[3] - o.box[1] + 1;
        d.bbox.center.position.x = o.box[0] + d.bbox.size_x / 2, d.bbox.center.position.y = o.box[1] + d.bbox.size_y / 2;
        ObjectHypothesisWithPose is;
        is.hypothesis.class_id = o.id, is.hypothesis.score = o.score;
        d.results.push_back(is);
        return d;
    }

    std::optional<tracker> tracker_;
    std::string image_encoding_, label_encoding_;
    decltype(Image::header) header_;  // of the latest image
    std::uint64_t clicks_ = 0;
    rclcpp_lifecycle::LifecyclePublisher<Image>::SharedPtr labels_;
    rclcpp_lifecycle::LifecyclePublisher<Detection2DArray>::SharedPtr detections_;
    rclcpp::Subscription<Image>::SharedPtr image_;
    rclcpp::Subscription<Point>::SharedPtr click_;
    rclcpp::Service<AddObjects>::SharedPtr add_;
    rclcpp::Service<RemoveObject>::SharedPtr remove_;
};

}  // namespace sam2_ros

RCLCPP_COMPONENTS_REGISTER_NODE(sam2_ros::Sam2Node)
