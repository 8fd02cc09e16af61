// NOT ROS: a stand-in for the names that the node uses, so that a test can compile and run it without ROS. Topics and services
// are tables, and messages are delivered at once. Never install this.
#pragma once

#include "messages.hpp"

#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>

#define RCLCPP_ERROR(logger, ...) (std::fprintf(stderr, __VA_ARGS__), std::fputc('\n', stderr), (void)(logger))
#define RCLCPP_WARN_THROTTLE(logger, clock, duration, ...) ((void)(clock), (void)(duration), RCLCPP_ERROR(logger, __VA_ARGS__))
#define RCLCPP_COMPONENTS_REGISTER_NODE(Class) \
    extern "C" rclcpp_lifecycle::LifecycleNode* stub_make_node(const rclcpp::NodeOptions& options) { \
        return new Class(options);                                                                   \
    }

namespace rclcpp {

using Value = std::variant<bool, int, std::string>;

class Parameter {
  public:
    explicit Parameter(Value value) : value_(std::move(value)) {}
    bool as_bool() const { return std::get<bool>(value_); }
    std::int64_t as_int() const { return std::get<int>(value_); }
    std::string as_string() const { return std::get<std::string>(value_); }

  private:
    Value value_;
};

struct NodeOptions {
    std::map<std::string, Value> overrides;
    template <class T> NodeOptions& append_parameter_override(const std::string& name, const T& value) {
        return overrides.insert_or_assign(name, value), *this;
    }
};

// Quality of service: a reliable subscription does not match a publisher with best effort.
struct QoS {
    explicit QoS(std::size_t depth) : depth(depth) {}
    QoS& keep_last(std::size_t n) { return depth = n, *this; }
    std::size_t depth;
    bool reliable = true;
};
struct SensorDataQoS : QoS {
    SensorDataQoS() : QoS(5) { reliable = false; }
};

// An entry of a table of names, which ends with this object.
template <class F> class Entry {
  public:
    Entry(const std::string& name, F call, bool reliable = true)
        : reliable(reliable), call(std::move(call)), at_(all().emplace(name, this)) {}
    Entry(const Entry&) = delete;
    ~Entry() { all().erase(at_); }
    static std::multimap<std::string, Entry*>& all() {
        static std::multimap<std::string, Entry*> table;
        return table;
    }
    bool reliable;
    F call;

  private:
    typename std::multimap<std::string, Entry*>::iterator at_;
};

template <class M> struct Subscription : Entry<std::function<void(std::shared_ptr<const M>)>> {
    using SharedPtr = std::shared_ptr<Subscription>;
    using Subscription::Entry::Entry;
};

template <class S>
using ServiceCallback = std::function<void(std::shared_ptr<typename S::Request>, std::shared_ptr<typename S::Response>)>;

template <class S> struct Service : Entry<ServiceCallback<S>> {
    using SharedPtr = std::shared_ptr<Service>;
    using Service::Entry::Entry;
};

template <class M> void deliver(const std::string& topic, const QoS& qos, std::shared_ptr<const M> message) {
    auto [first, last] = Subscription<M>::all().equal_range(topic);
    for (auto it = first; it != last; ++it)
        if (qos.reliable || !it->second->reliable) it->second->call(message);
}

}  // namespace rclcpp

namespace rclcpp_lifecycle {

class State {
  public:
    explicit State(std::string label) : label_(std::move(label)) {}
    std::string label() const { return label_; }

  private:
    std::string label_;
};

namespace node_interfaces {
struct LifecycleNodeInterface {
    enum class CallbackReturn { SUCCESS, FAILURE, ERROR };
};
}  // namespace node_interfaces

template <class M> struct LifecyclePublisher {
    using SharedPtr = std::shared_ptr<LifecyclePublisher>;
    std::string topic;
    rclcpp::QoS qos;
    void publish(std::unique_ptr<M> message) { rclcpp::deliver<M>(topic, qos, std::shared_ptr<const M>(std::move(message))); }
};

class LifecycleNode {
  public:
    using CallbackReturn = node_interfaces::LifecycleNodeInterface::CallbackReturn;

    LifecycleNode(const std::string&, const rclcpp::NodeOptions& options) : options_(options) {}
    virtual ~LifecycleNode() = default;

    template <class T> void declare_parameter(const std::string& name, const T& value) {
        if (!options_.overrides.count(name)) options_.append_parameter_override(name, value);
    }
    rclcpp::Parameter get_parameter(const std::string& name) const { return rclcpp::Parameter(options_.overrides.at(name)); }
    int get_logger() const { return 0; }
    std::shared_ptr<int> get_clock() const { return std::make_shared<int>(); }

    template <class M>
    typename LifecyclePublisher<M>::SharedPtr create_publisher(const std::string& topic, const rclcpp::QoS& qos) {
        return std::make_shared<LifecyclePublisher<M>>(LifecyclePublisher<M>{topic, qos});
    }
    template <class M, class F>
    typename rclcpp::Subscription<M>::SharedPtr create_subscription(const std::string& topic, const rclcpp::QoS& qos, F f) {
        return std::make_shared<rclcpp::Subscription<M>>(topic, f, qos.reliable);
    }
    template <class S, class F> typename rclcpp::Service<S>::SharedPtr create_service(const std::string& name, F f) {
        return std::make_shared<rclcpp::Service<S>>(name, f);
    }

    virtual CallbackReturn on_configure(const State&) { return CallbackReturn::SUCCESS; }
    virtual CallbackReturn on_activate(const State&) { return CallbackReturn::SUCCESS; }
    virtual CallbackReturn on_deactivate(const State&) { return CallbackReturn::SUCCESS; }
    virtual CallbackReturn on_cleanup(const State&) { return CallbackReturn::SUCCESS; }
    virtual CallbackReturn on_shutdown(const State&) { return CallbackReturn::SUCCESS; }
    const State& configure() { return change(on_configure(state_), "inactive"); }
    const State& activate() { return change(on_activate(state_), "active"); }
    const State& deactivate() { return change(on_deactivate(state_), "inactive"); }
    const State& cleanup() { return change(on_cleanup(state_), "unconfigured"); }
    const State& get_current_state() const { return state_; }

  private:
    const State& change(CallbackReturn how, const char* to) {
        if (how == CallbackReturn::SUCCESS) state_ = State(to);
        return state_;
    }
    rclcpp::NodeOptions options_;
    State state_{"unconfigured"};
};

}  // namespace rclcpp_lifecycle
